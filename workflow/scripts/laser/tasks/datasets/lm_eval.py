"""Tasks of lm-evaluation-harness, where that package is installed: documents, prompts, choices and targets as rows.

A task is named, or given by its YAML file. What the harness does after the model has answered (filters, metrics of its
own) is not carried over: rows are judged as all others are, and a task that needs more is refused by the name of what
it needs. The functions of a named task are the installed package's; a YAML file may bring none.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from laser.errors import UserError, nearest, shortened
from laser.io.user_paths import expanded
from laser.tasks.example import Example

SPLITS: tuple[str, ...] = ()
COLUMNS: tuple[str, ...] = ()
OPTIONS = ("task", "new_tokens")
FILLED = True
"""Prompts are the harness's, whose texts may hold braces."""

PACKAGE = "lm_eval"
INSTALL = "Install it once into the environment: `pip install lm-eval`."
KINDS = ("multiple_choice", "generate_until")
METRICS = {"multiple_choice": ("acc", "acc_norm", "acc_bytes"), "generate_until": ("exact_match", "em", "contains")}
"""Metrics for which the workflow's own judgement of the same rows stands."""
FILTERS = ("take_first", "remove_whitespace", "lowercase")
"""Filters that change nothing in that judgement."""
SEED = 1234
"""Of the examples in few-shot prompts; the harness's default."""


def is_file(task: str) -> bool:
    """Return True if a task is given by its YAML file."""
    return task.endswith((".yaml", ".yml"))


def check_task(options: Mapping[str, Any]) -> None:
    """Check that a task is given, its file is there and the package is installed.

    Raises:
        UserError: says what is missing.
    """
    task = options.get("task")
    if not isinstance(task, str):
        raise UserError(f"the builder lm_eval needs 'task': the name of a task of {PACKAGE}, or its YAML file.")
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(f"the builder lm_eval needs the package {PACKAGE}, which is not installed. {INSTALL}")
    if is_file(task):
        _check_file(Path(expanded(task, "task")))


def _check_file(path: Path, seen: frozenset[Path] = frozenset()) -> None:
    """Refuse a task's file, or one that it includes, which is not there or would run code."""
    import yaml

    if path in seen:
        raise UserError(f"{path}: includes itself.")
    if not path.is_file():
        raise UserError(f"there is no file {path} ({path.absolute()}), which task or include names.")
    try:
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            tag = getattr(event, "tag", None) or ""
            if tag.startswith("!") and tag != "!":
                assert event.start_mark is not None
                raise UserError(
                    f"{path}, line {event.start_mark.line + 1}: holds {tag}, which would run code. Only templates are "
                    "taken from a task's file."
                )
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())[:200]}).") from error
    if not isinstance(settings, dict):
        raise UserError(f"{path}: holds {shortened(settings)}, not the keys and values of a task.")
    included = settings.get("include") or []
    names = [included] if isinstance(included, str) else included
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: include is {shortened(included)}. It must name a file, or be a list of files.")
    for name in names:
        _check_file(path.parent / name, seen | {path})


def read_task(options: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a task's documents as rows, and what the card says about their source.

    Raises:
        UserError: there is no such task, its data cannot be read, or it cannot be carried over.
    """
    check_task(options)
    name = options["task"]
    task = _loaded(str(Path(expanded(name, "task"))) if is_file(name) else name)
    _check_carried_over(task, name)
    count = task.config.num_fewshot or 0
    task.set_fewshot_seed(SEED)
    rows = []
    try:
        for number, document in enumerate(task.eval_docs):
            prompt = task.fewshot_context(document, count, gen_prefix=task.doc_to_prefix(document))
            choices = task.doc_to_choice(document) if task.OUTPUT_TYPE == "multiple_choice" else []
            row = {"id": str(number), "prompt": prompt, "choices": choices, "target": task.doc_to_target(document)}
            rows.append(row)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"task '{name}': its templates cannot be filled in for document {len(rows)} ({what})."
        ) from error
    if len(rows) > 1 and len({row["prompt"] for row in rows}) == 1:
        raise UserError(
            f"task '{name}': all {len(rows)} documents have the same prompt, {shortened(rows[0]['prompt'])}. The "
            "harness takes a doc_to_text that is no field for the prompt itself: correct the field's name."
        )
    facts = {"kind": PACKAGE, "task": name, "task_version": task.VERSION, "package_version": _version()}
    return rows, facts | {"dataset": task.DATASET_PATH, "output_type": task.OUTPUT_TYPE, "few_shot": count}


def _version() -> str:
    from importlib.metadata import version

    return version(PACKAGE)


def _loaded(name: str) -> Any:
    import lm_eval.tasks

    path = name if is_file(name) else str(_file_of(name, Path(lm_eval.tasks.__file__).parent))
    try:
        # The package's own index parses thousands of files, which takes minutes; one file is read alone.
        tasks = list(lm_eval.tasks.TaskManager(include_defaults=False).load(path)["tasks"].values())
    except Exception as error:  # the harness, its templates and its data may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise UserError(f"task '{name}' cannot be loaded by {PACKAGE} ({what}).") from error
    if len(tasks) != 1:
        raise UserError(f"task '{name}' stands for {len(tasks)} tasks. Name one of them.")
    return tasks[0]


_NAMED = re.compile(r"^(task|group|tag):[ \t]*['\"]?([\w.:/+-]+)['\"]?[ \t]*(?:#.*)?$", re.MULTILINE)


def _file_of(name: str, folder: Path) -> Path:
    """Return the file below the package's folder that defines a task."""
    tasks: dict[str, Path] = {}
    groups = set()
    for path in sorted(folder.rglob("*.yaml")):
        for key, value in _NAMED.findall(path.read_text(encoding="utf-8", errors="replace")):
            if key == "task":
                tasks.setdefault(value, path)
            else:
                groups.add(value)
    if name in tasks:
        return tasks[name]
    group = " It is a group: name one of its tasks." if name in groups else ""
    raise UserError(
        f"task is '{name}'{'' if group else nearest(name, tasks)}, which is no single task of {PACKAGE} {_version()}."
        f"{group} `lm-eval ls tasks` lists them."
    )


def _check_carried_over(task: Any, name: str) -> None:
    """Refuse a task whose answers cannot be judged from its prompts, choices and targets alone."""
    config: Any = getattr(task, "config", None)
    kind = task.OUTPUT_TYPE
    if not hasattr(config, "doc_to_text"):
        raise UserError(
            f"task '{name}': is a Python class, of which nothing but its code is known. It is not carried over."
        )
    metrics = [str(entry.get("metric")) for entry in config.metric_list or []]
    filters = [part["function"] for entry in config.filter_list or [] for part in entry["filter"]]
    reasons = {
        f"output_type: {kind} (allowed: {', '.join(KINDS)})": kind not in KINDS,
        "process_results": config.process_results is not None,
        f"metric_list: {', '.join(metrics)}": not set(metrics) & set(METRICS.get(kind, ())) if metrics else False,
        f"filter_list: {', '.join(filters)}": not set(filters) <= set(FILTERS),
        f"repeats: {config.repeats}": (config.repeats or 1) != 1,
        "doc_to_image, doc_to_audio": bool(config.doc_to_image or config.doc_to_audio),
        "doc_to_text that chooses between prompts": bool(task.multiple_input),
        f"target_delimiter: {config.target_delimiter!r} (allowed: ' ')": config.target_delimiter != " ",
        "unsafe_code": bool(config.unsafe_code),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"task '{name}': its {reason} cannot be carried over.")


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build one example per document, in the harness's order.

    Args:
        options: `task` and `new_tokens`.
        read: gives the rows that `read_task` returned, as the split `rows`.
    """
    dropped = {"no target": 0, "choices that do not differ": 0}
    examples = []
    for row in read("rows"):
        where = f"task '{options['task']}', document {row['id']}"
        choices = [str(choice).strip() for choice in row["choices"]]
        answers = _answers(row["target"], choices, where)
        if not answers:
            dropped["no target"] += 1
        elif len(set(choices)) < len(choices):
            dropped["choices that do not differ"] += 1
        else:
            prompt = str(row["prompt"]).rstrip(" ")
            name, others = f"document {row['id']}", tuple(dict.fromkeys(answers[1:]))
            examples.append(Example(row["id"], name, prompt, prompt, answers[0], tuple(choices), other_answers=others))
    return examples, dropped


def _answers(target: Any, choices: list[str], where: str) -> list[str]:
    """Return the right answers that a target stands for: indices or texts of choices, or texts."""
    targets: Iterable[Any] = target if isinstance(target, list | tuple) else [target]
    answers = []
    for each in targets:
        if choices and isinstance(each, int) and not isinstance(each, bool):
            if not 0 <= each < len(choices):
                raise UserError(f"{where}: its target is {each}, and it has {len(choices)} choices, counted from 0.")
            answers.append(choices[each])
        elif choices and str(each).strip() not in choices:
            raise UserError(f"{where}: its target is {shortened(each)}, which is none of its choices.")
        else:
            answers.append(str(each).strip())
    return [answer for answer in dict.fromkeys(answers) if answer]
