"""A film of base and LASER side by side in one test room."""

from laser.analysis.pictures import by_cell
from laser.artefacts.film import film
from laser.io.job import Job, run_job
from laser.results.labelled import load_columns
from laser.results.loading import load_cells


def main(job: Job) -> None:
    """Write one film per cell and protocol, and the CSV of its moves."""
    cells = load_cells(job.paths["test"], job.paths["selection"], job.paths["rows"])
    known = {(cell.model, cell.dataset, cell.protocol): cell for cell in cells}
    texts = load_columns(job.paths["rows"], ["id", "text"])
    for (model, dataset), protocol, stem in by_cell(job.spec, [key[:2] for key in known], job.paths["gif"]):
        rows = texts[dataset]
        named = dict(zip(rows["id"], rows["text"], strict=True))
        film(known[model, dataset, protocol], named, stem.with_name(f"{stem.name}.gif"))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "gif", "csv"))
