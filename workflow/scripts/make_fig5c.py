"""Figure 5c: examples of what the smallest singular values alone answer, as a table."""

from laser.analysis.pictures import wanted_cells
from laser.analysis.tables import write_table
from laser.artefacts.fig5b import load_higher_order
from laser.artefacts.fig5c import fig5c_rows, fig5c_table, fig5c_views
from laser.io.job import Job, run_job
from laser.results.labelled import cell_of, load_columns
from laser.results.loading import load_cells, load_rows


def main(job: Job) -> None:
    """Write fig5c.csv, fig5c.md and fig5c.tex."""
    paths = job.paths
    rows = {name: path for path in paths["rows"] for name in load_rows([path])}
    prompts = load_columns(paths["rows"], ["id", "prompt"])
    files = {cell_of(path)[:2]: path for path in paths["higher-order"]}
    cells = load_cells(paths["test"], paths["selection"], paths["rows"])
    found = []
    for name in wanted_cells(job.spec, files):
        smallest, _ = load_higher_order(files[name], rows[name[1]])
        asked = prompts[name[1]].set_index("id")["prompt"]
        own = [cell for cell in cells if (cell.model, cell.dataset) == name]
        found += [row for cell in own for row in fig5c_rows(cell, smallest, asked)]
    frame = fig5c_table(found)
    write_table(paths["output"][0].parent, "fig5c", frame, fig5c_views(frame))


if __name__ == "__main__":
    run_job(main, __doc__, files=("test", "selection", "rows", "higher-order", "output"))
