"""Copying a study's inputs into its folder: cards, rows, counts, published numbers, the workflow's own files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import atomic, write_json, write_text

ROOT = Path(__file__).resolve().parents[4]


README = """\
# {title}

The study `{name}` of a replication of LASER (*The Truth is in There: Improving Reasoning in Language Models with
Layer-Selective Rank Reduction*, arXiv 2312.13558). To read: `report/index.html`.

| folder or file | what is in it |
|---|---|
| `report/` | the report, with every table and figure |
| `tables/`, `figures/` | the same as single files, with the numbers as CSV |
| `reductions/`, `sweep/`, `selection/`, `test/` and the other folders | results of single jobs, a row per example |
| `inputs/` | what they rest on: settings (`study.json`), data, cards of the models, the workflow's rules and scripts |
| `records/`, `runs/`, `logs/` | of every job: what it read and made, and when, where and at what cost |
| `manifest.json`, `manifest-run.json` | every file with its sha256 |
| `ro-crate-metadata.json` | all of that as a Workflow Run RO-Crate |

To check it, with the workflow at hand: `make audit STUDY={name}`.
"""


def copy_inputs(
    study: Mapping[str, Any],
    copied: Mapping[str, str],
    counts: Mapping[str, str],
    published: Iterable[str],
    workflow: Iterable[str],
    cache: Path,
    folder: Path,
) -> list[tuple[Path, Path]]:
    """Fill a study's inputs/, and write its README.md; return the (source, target) pairs of all copies.

    Args:
        study: the resolved study, for study.json, which is written last.
        copied: files of the cache (`laser.provenance.copied_inputs.copies`).
        counts: files of training frequencies (`count_copies`).
        published: names of the files with the paper's numbers.
        workflow: paths of the workflow's own files in the repository.
        cache: the folder that studies share.
        folder: <results>/inputs.

    Raises:
        UserError: a folder of the cache lacks a file, such as the record of what made it.
    """
    pairs = [(cache / source, folder / target) for target, source in copied.items()]
    pairs += [(Path(source), folder / target) for target, source in counts.items()]
    pairs += [(ROOT / "config/published" / name, folder / "published" / name) for name in published]
    pairs += [(ROOT / name, folder / "workflow" / name) for name in workflow]
    for source, target in pairs:
        if not source.is_file():
            raise UserError(
                f"{source}: is missing, so the origin of {source.parent} cannot be traced. It was made by an "
                f"older version of this workflow, or the file was deleted: delete {source.parent / 'card.json'} and "
                "run again. The files that are there are checked and kept."
            )
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
    write_text(folder.parent / "README.md", README.format(title=study["title"], name=study["name"]))
    write_json(folder / "study.json", study)
    return pairs
