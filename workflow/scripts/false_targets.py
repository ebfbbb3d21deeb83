"""Read the false target of every question of a dataset that has one."""

from laser.config.specs import FalseTargetsSpec
from laser.errors import UserError
from laser.io.files import read_parquet, write_parquet
from laser.provenance.job import Job, run_job
from laser.tasks.false_targets import false_targets


def main(job: Job) -> None:
    """Write id and answer of the false targets of prepared rows, in the rows' order."""
    spec, name = job.spec, job.spec.dataset["name"]
    output = job.output("false_targets", dataset=name)
    rows = read_parquet(job.input("rows", data_key=spec.key), ["id", "answer"])
    false = false_targets(spec.dataset, job.cache / "data" / "downloads").set_index("id")["answer"]
    frame = rows[["id"]].assign(answer=rows["id"].map(false)).dropna()
    frame = frame[(frame["answer"] != rows["answer"]) & (frame["answer"].str.strip() != "")]
    if frame.empty:
        raise UserError(
            f"dataset '{name}': none of its {len(rows)} questions has a false target other than its answer."
        )
    write_parquet(output, frame.reset_index(drop=True), job.metadata())
    job.say(f"{len(frame):,} of {len(rows):,} questions have a false target")


if __name__ == "__main__":
    run_job(main, __doc__, FalseTargetsSpec)
