"""Make one table, figure or film, as its module in laser/artefacts declares it.

The files that it reads are found by name, below --results and --cache. With --inputs the study's own copies replace the
cache's files, and with --into the outputs go to another folder, so that a finished study can be made again.
"""

from laser.analysis.tables import mark_parts, mark_quantised, write_table
from laser.config.artefacts import TABLE, declared, outputs, pictures
from laser.config.paths import Folders
from laser.errors import UserError
from laser.provenance.job import Job, run_job
from laser.results.study import StudyResults


def main(job: Job) -> None:
    """Write every file of the artefact."""
    artefact = declared().get(str(job.spec.get("artefact")))
    if artefact is None:
        raise UserError(f"spec.artefact is {job.spec.get('artefact')!r}. Allowed: {', '.join(declared())}.")
    inputs, into = job.options["inputs"], job.options["into"] or job.results
    study = StudyResults(job.spec, job.results, job.cache, inputs)
    job.reads(*study.every_path(), *map(study.table, artefact.after))
    if artefact.kind == TABLE:
        frame = artefact.module.make(study)
        views = mark_parts(artefact.module.views(frame), frame, study.parts)
        write_table(into / "tables", artefact.name, frame, mark_quantised(views, frame, study.quantised))
    else:
        for picture in pictures(artefact.pictures, study.cells, study.protocols):
            artefact.module.make(study, picture, into / "figures" / artefact.name / picture.path)
    job.writes(*outputs(artefact, study.cells, study.protocols, Folders(into)))


if __name__ == "__main__":
    run_job(main, __doc__, options=("inputs", "into"))
