"""Perplexity on running text: base and the best candidates among input and output matrices."""

from laser.analysis.tables import write_table
from laser.artefacts.perplexity import perplexity_table, perplexity_views
from laser.io.job import Job, run_job
from laser.paper.published import read_published
from laser.paper.text_numbers import read_text_numbers


def main(job: Job) -> None:
    """Write perplexity.csv, perplexity.md and perplexity.tex."""
    spec, paths = job.spec, job.paths["perplexity"]
    frame = perplexity_table(paths, read_published(), read_text_numbers(), spec["seed"], spec["resamples"])
    write_table(job.paths["output"][0].parent, "perplexity", frame, perplexity_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("perplexity", "output"))
