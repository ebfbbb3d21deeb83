"""Paraphrase: the share of facts answered right in all phrasings, base and LASER, on test rows."""

from laser.analysis.tables import write_table
from laser.artefacts.paraphrase import paraphrase, paraphrase_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.paper.text_numbers import read_text_numbers
from laser.results.labelled import load_columns
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write paraphrase.csv, paraphrase.md and paraphrase.tex."""
    spec = job.spec
    frame = paraphrase(
        load_cells(job.paths["test"], job.paths["selection"], job.paths["rows"]),
        load_columns(job.paths["rows"], ["id", "group", "phrasing"]),
        spec.get("trained_phrasings"),
        read_published(),
        read_text_numbers(),
        spec["seed"],
        spec["resamples"],
    )
    write_table(job.paths["output"][0].parent, "paraphrase", frame, paraphrase_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "output"))
