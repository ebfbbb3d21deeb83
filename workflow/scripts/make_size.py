"""Size: parameters and bytes of the chosen matrix, dense and as factors of the kept rank."""

from laser.analysis.tables import write_table
from laser.artefacts.size import read_cards, size, size_views
from laser.io.job import Job, run_job
from laser.results.loading import load_selections


def main(job: Job) -> None:
    """Write size.csv, size.md and size.tex."""
    frame = size(load_selections(job.paths["selection"]), job.paths["records"], read_cards(job.paths["models"]))
    write_table(job.paths["output"][0].parent, "size", frame, size_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("selection", "records", "models", "output"))
