"""Result files that hold some of the test rows alone: other prompts, and rows that LASER repairs.

Their ids must be test rows, and no row may contradict itself.
"""

from __future__ import annotations

from laser_audit.findings import Check
from laser_audit.reading import Study, text_of
from laser_audit.rows import parts, test_path
from laser_audit.scores import contradictions
from laser_audit.splits import prepared

LABELS = {"prompts": ("variant", "arm"), "higher_order": ("percent",)}


def check_subsets(check: Check, study: Study) -> None:
    """Hold rows under other prompts, and repaired rows, against the test side of the split."""
    for folder, labels in LABELS.items():
        for path in study.matching(f"{folder}/", ".parquet"):
            with check.guarded(path):
                _file(check, study, path, labels)
    if not check.count and check.passed:
        check.skipped = "the study has none"


def _file(check: Check, study: Study, path: str, labels: tuple[str, ...]) -> None:
    spec = study.spec(path)
    model, dataset = text_of(spec["model"]["name"]), text_of(spec["dataset_name"])
    data = prepared(study, dataset)
    for (protocol, *names), part in parts(study, path, labels).items():
        check.count += len(part)
        where = ", ".join(map(str, (protocol, *names)))
        ids, side = part["id"].tolist(), data.side(protocol, "test")
        strangers = sorted(set(ids) - set(side))
        if strangers:
            check.fail(path, f"{where}: ids", strangers[:3], "test rows of the split")
        elif ids != [name for name in side if name in set(ids)]:
            check.fail(path, f"{where}: order of ids", ids[:3], "each once, in the dataset's order")
        # Under `published` the prompt is searched for the answer, and other prompts are not on file.
        if not strangers and (protocol != "published" or "variant" not in labels or names[0] == "original"):
            for place, found, expected in contradictions(study, spec, data, protocol, where, part):
                check.fail(path, place, found, expected)
        if labels == ("percent",):
            arms = parts(study, test_path(model, dataset), ("arm",))
            base, laser = (arms[protocol, arm].set_index("id")["correct"].to_dict() for arm in ("base", "laser"))
            wanted = [name for name in base if laser[name] and not base[name]]
            check.same(path, f"{where}: rows that base has wrong and LASER right", ids, wanted)
