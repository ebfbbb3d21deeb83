"""Write the study's manifest, and its provenance as an RO-Crate; this is the last job of a study."""

from pathlib import Path

from laser.config.paths import StudyFiles
from laser.config.yaml_files import read_yaml
from laser.io.files import write_json
from laser.provenance.closure import close
from laser.provenance.crate import CITATION, crate
from laser.provenance.job import Job, run_job
from laser.provenance.jobs import jobs
from laser.provenance.manifest import deterministic_files, left_over, manifest, volatile_files


def main(job: Job) -> None:
    """Check every record against its files and write all three files, manifest.json last."""
    folder, spec = job.results, job.spec
    files = StudyFiles.from_spec(spec["files"], job.results, job.cache)
    ends = job.inputs("report") + job.inputs("inputs")
    for kind, cells in spec["evaluations"].items():
        ends += job.reads(*files.paths(kind, cells))
    target, target_run, target_crate = job.output("manifest"), job.output("run_manifest"), job.output("crate")
    closure = close(folder, ends)
    lasting = manifest(spec, deterministic_files(closure))
    described = [entry for entry in volatile_files(closure) if Path(entry["path"]) != target_crate.relative_to(folder)]
    citation = read_yaml(folder / CITATION)
    write_json(target_crate, crate(closure, jobs(closure), [*lasting["files"], *described], spec["title"], citation))
    passing = manifest(spec, volatile_files(closure))
    write_json(target_run, passing)
    write_json(target, lasting)
    job.say(f"{len(lasting['files']):,} files that any run makes alike, {len(passing['files']):,} that differ by run")
    extra = left_over(folder, lasting, passing)
    if extra:
        shown = ", ".join(extra[:5]) + (", …" if len(extra) > 5 else "")
        job.say(
            f"{folder} holds {len(extra):,} file(s) that its jobs no longer make ({shown}): of earlier settings, "
            "or added by hand. No manifest and no archive includes them. Delete or move them."
        )


if __name__ == "__main__":
    run_job(main, __doc__)
