"""The study's manifest, and its provenance as RO-Crate; the last job of a study."""

from laser.config.yaml_files import read_yaml
from laser.io.files import write_json
from laser.io.job import Job, run_job
from laser.provenance.closure import close
from laser.provenance.crate import CITATION, crate
from laser.provenance.jobs import jobs
from laser.provenance.manifest import (
    CRATE,
    MANIFEST_RUN,
    deterministic_files,
    left_over,
    manifest,
    volatile_files,
)


def main(job: Job) -> None:
    """Check every record against its files; write all three files, manifest.json last."""
    folder = job.path("output").parent
    found = close(folder, job.paths["files"])
    lasting = manifest(job.spec, deterministic_files(found))
    ran = jobs(found)
    described = [one for one in volatile_files(found) if one["path"] != CRATE]
    citation = read_yaml(folder / CITATION)
    write_json(folder / CRATE, crate(found, ran, [*lasting["files"], *described], job.spec["title"], citation))
    passing = manifest(job.spec, volatile_files(found))
    write_json(folder / MANIFEST_RUN, passing)
    write_json(job.path("output"), lasting)
    job.say(f"{len(lasting['files']):,} files that any run makes alike, {len(passing['files']):,} that differ by run")
    extra = left_over(folder, lasting, passing)
    if extra:
        shown = ", ".join(extra[:5]) + (", …" if len(extra) > 5 else "")
        job.say(
            f"{folder} holds {len(extra):,} file(s) that its jobs do not make as it is now ({shown}): of earlier "
            "settings, or by another hand. They stand in no manifest and go into no archive. Delete or move them."
        )


if __name__ == "__main__":
    run_job(main, __doc__, files=("files", "output"))
