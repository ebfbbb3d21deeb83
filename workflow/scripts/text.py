"""Read a text for perplexity, one document per row, and write its card."""

from laser.config.specs import TextSpec
from laser.models.wheel import fetch_member
from laser.provenance.job import Job, run_job
from laser.tasks.texts import prepare_text


def main(job: Job) -> None:
    """Write text.parquet and, last, card.json."""
    spec = job.spec
    job.output("text", text_key=spec.key)
    folder = job.output("text_card", text_key=spec.key).parent
    downloads = folder.parent / "downloads"
    card = prepare_text(
        spec.text,
        folder,
        lambda name, source, path: fetch_member(name, source, path, downloads, job.say),
        job.plain,
    )
    job.say(f"{card['documents']:,} document(s), {card['characters']:,} characters")


if __name__ == "__main__":
    run_job(main, __doc__, TextSpec)
