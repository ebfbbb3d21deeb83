"""Make the corpus on which the laboratory's models are trained."""

from laser.config.specs import CorpusSpec
from laser.provenance.job import Job, run_job
from laser.training.corpus import make_corpus


def main(job: Job) -> None:
    """Write the facts with their counts, the sentences, the held-out text and, last, the card."""
    folder = job.output("corpus", corpus_key=job.spec.key).parent
    card = make_corpus(job.spec, folder)
    job.writes(*(folder / name for name in card["files"]))
    job.say(
        f"{card['sentences']:,} sentences, {card['fact_sentences']:,} of them about {card['facts']:,} facts; "
        f"the answer was replaced in {card['replaced_sentences']:,}"
    )


if __name__ == "__main__":
    run_job(main, __doc__, CorpusSpec)
