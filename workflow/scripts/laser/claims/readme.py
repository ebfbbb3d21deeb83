"""README's section on real data: two sentences and one picture, from a study that uses the paper's datasets."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.analysis.comparison import with_interval
from laser.analysis.tables import integer, number, p_value
from laser.claims.findings import choice
from laser.claims.judged import StudyTables, with_extent
from laser.claims.markdown import joined, relative
from laser.claims.page import has_paper_data
from laser.config.protocols import SIGNIFICANCE
from laser.errors import UserError
from laser.io.files import write_text
from laser.paper.published import FOLDER, read_published

if TYPE_CHECKING:
    import pandas

BEGIN = "<!-- what follows is written by workflow/scripts/tools/replication.py -->"
END = "<!-- end of what is written -->"
PICTURE = "forest"
"""The figure that the section shows."""

OUR_PROTOCOL = "corrected"
"""The protocol that the sentences are about, if the study has it."""


def write_readme(readme: Path, studies: Sequence[StudyTables], published: Path | str = FOLDER) -> None:
    """Write the section between its two marks in README, and its picture to docs/images.

    Nothing is written if no study uses one of the paper's datasets.

    Raises:
        UserError: README lacks the marks.
    """
    paper = read_published(published)
    asked = [study for study in studies if has_paper_data(study, paper) and "table1" in study.frames]
    if not asked:
        return
    text = readme.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise UserError(f"{readme}: lacks the line '{BEGIN}' or, below it, '{END}'. Restore them.")
    images = readme.parent / "docs/images"
    section = real_data(asked[0], readme.parent, images, set(paper.datasets))
    write_text(readme, f"{before}{BEGIN}\n\n{section}\n\n{END}{after}")


def real_data(study: StudyTables, folder: Path, images: Path, asked: set[str]) -> str:
    """Return the section's text; its picture, if the study has one, is copied to `images`.

    Args:
        study: a study that has table1.
        folder: folder of README, to which the link to the picture is relative.
        images: folder of README's pictures.
        asked: names of the datasets that the sentences are about, which are the paper's.
    """
    frame = study.frames["table1"]
    protocols = list(dict.fromkeys(frame["protocol"]))
    protocol = OUR_PROTOCOL if OUR_PROTOCOL in protocols else protocols[0]
    gains = frame[(frame["metric"] == "accuracy") & (frame["arm"] == "laser") & (frame["protocol"] == protocol)]
    gains = gains[gains["dataset"].isin(asked)]
    parts = [_sentences(gains, protocol, study)]
    pictures = [path.with_suffix(".svg") for path in study.files.get(PICTURE, ()) if path.stem == protocol]
    if pictures and pictures[0].is_file():
        target = images / f"{PICTURE}-{study.name}.svg"
        images.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures[0], target)
        parts.append(f"![Gains of this study, of the paper and of others]({relative(target, folder)})")
    return "\n\n".join(parts)


def _sentences(gains: pandas.DataFrame, protocol: str, study: StudyTables) -> str:
    """Return how often accuracy rose and fell, and the largest change, beside what one constant answer scores."""
    rows: list[dict[Any, Any]] = gains.to_dict("records")
    certain = [row for row in rows if row["p_holm"] < SIGNIFICANCE]
    risen = [row for row in certain if row["difference"] > 0]
    fallen = len(certain) - len(risen)
    above = sum(row["value"] > row["constant"] for row in risen)
    beyond = f" (in {above} of them above the best constant answer)" if risen else ""
    models = joined(list(dict.fromkeys(gains["model"])))
    datasets = joined(with_extent(study, list(dict.fromkeys(gains["dataset"]))))
    pairs = f"{len(rows)} pair{'' if len(rows) == 1 else 's'} of model and dataset"
    first = (
        f"Study `{study.name}` asks {models} questions of the paper's datasets {datasets}: with the intervention that "
        f"validation rows chose, accuracy on held-out rows rises significantly in {len(risen)} of {pairs}{beyond}, "
        f"falls in {fallen}, and does not change significantly in {len(rows) - len(certain)} (protocol `{protocol}`)."
    )
    largest = max(rows, key=lambda row: abs(row["difference"]))
    base, gain = largest["value"] - largest["difference"], with_interval(largest, 1, "difference", sign=True)
    second = (
        f"The largest change is that of {largest['model']} on {largest['dataset']}: {number(base, 1)} → "
        f"{number(largest['value'], 1)} % (the best constant answer: {number(largest['constant'], 1)} %), {gain} "
        f"points, adjusted p {p_value(largest['p_holm'])}, n = {integer(largest['n'])}, {choice(largest)}."
    )
    return f"{first} {second}"
