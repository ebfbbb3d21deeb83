"""Rooms solved by number of boxes and by length of the expert's path, base and LASER."""

from laser.analysis.pictures import by_cell
from laser.artefacts.solved import solved
from laser.io.job import Job, run_job
from laser.results.labelled import load_columns
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write one figure per cell and protocol."""
    cells = load_cells(job.paths["test"], job.paths["selection"], job.paths["rows"])
    known = {(cell.model, cell.dataset, cell.protocol): cell for cell in cells}
    texts = load_columns(job.paths["rows"], ["id", "text"])
    for (model, dataset), protocol, stem in by_cell(job.spec, [key[:2] for key in known], job.paths["svg"]):
        rows = texts[dataset]
        named = dict(zip(rows["id"], rows["text"], strict=True))
        solved(known[model, dataset, protocol], named, stem, job.spec["seed"], job.spec["resamples"])


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "svg", "pdf", "csv"))
