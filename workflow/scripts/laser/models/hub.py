"""Checkpoints of the Hugging Face Hub: pinned to a commit, through the hub's local cache, checked byte by byte."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from laser.errors import UserError
from laser.io.files import sha256_file
from laser.models.convert import convert
from laser.models.hub_errors import TransientError, explained
from laser.models.stored import weight_files
from laser.models.transfer import byte_meter

PAUSES: tuple[float, ...] = (5.0, 30.0)  # seconds before each further attempt, beyond the hub library's own
FORMATS = ("safetensors", "bin")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_hub(
    name: str, source: Mapping[str, Any], folder: Path, side_files: Sequence[str], report: Callable[[str], None]
) -> list[str]:
    """Put a checkpoint of the hub into `folder`; return notes for the card.

    The files pass through the hub's local cache (HF_HOME), from where they are linked, or copied across file systems.
    What the cache holds is used without network. Environment: HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE.

    Args:
        name: the model's name, for messages.
        source: repo, revision (a commit), optional sha256 (file name to hash), optional format: `bin` converts
            PyTorch's .bin files once, and needs the sha256 of each.
        folder: an empty folder.
        side_files: names of the files that are wanted beside the weights.
        report: takes lines about the progress.

    Raises:
        UserError: token, network, repo, revision or file is missing, or a sha256 differs.
    """
    repo, revision, pinned = _checked(name, source)
    as_bin = source.get("format", "safetensors") == "bin"
    weights = sorted(pinned) if as_bin else ["*.safetensors"]
    report(f"{repo} at {revision[:8]} from the hub or its local cache")
    for pause in (*PAUSES, None):
        try:
            snapshot = _download(name, repo, revision, [*weights, *side_files], report)
            break
        except TransientError as error:
            if pause is None:
                raise UserError(f"model '{name}': {error}") from error
            report(f"{error}; again in {pause:.0f} s")
            time.sleep(pause)
    if as_bin:
        found = [one for one in weights if (snapshot / one).is_file()]
        index = None
    else:
        found = _safetensors(name, source, snapshot)
        index = "model.safetensors.index.json"
    wanted = found + [
        one for one in side_files if (snapshot / one).is_file() and (index or not one.endswith(".index.json"))
    ]
    for one, expected in pinned.items():
        if one not in wanted:
            raise UserError(f"model '{name}': source.sha256 names '{one}', which {repo} does not have at {revision}.")
        actual = sha256_file(snapshot / one)
        if actual != expected:
            raise UserError(
                f"model '{name}': source.sha256 of {one} is {expected}, but {repo} at {revision} has {actual}. "
                "Correct source.revision or the pin; nothing was kept."
            )
    for one in wanted:
        if as_bin and one in found:
            _convert(one, snapshot, folder, len(found), report)
        else:
            _link(snapshot / one, folder / one)
    notes = [f"from {repo} at {revision}"]
    if as_bin:
        notes.append(f"converted once from {', '.join(found)} (sha256 pinned, tensors only) to safetensors")
        if len(found) > 1:
            _write_index(folder)
    return notes


def check(name: str, source: Mapping[str, Any]) -> None:
    """Ask the hub for the header of config.json, unless the local cache holds the whole checkpoint.

    Raises:
        UserError: token, network, repo or revision is missing.
    """
    repo, revision, pinned = _checked(name, source)
    if _cached(repo, revision, sorted(pinned) if source.get("format") == "bin" else []):
        return
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repo, "config.json", revision=revision), timeout=10)
    except Exception as error:
        try:
            raise explained(name, repo, revision, error) from error
        except TransientError as transient:
            raise UserError(f"model '{name}': {transient}") from error


def _checked(name: str, source: Mapping[str, Any]) -> tuple[str, str, dict[str, str]]:
    """Return repo, revision and pinned hashes of a source that is fit to be asked for."""
    repo, revision = source.get("repo"), source.get("revision")
    if not isinstance(repo, str) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo):
        raise UserError(
            f"model '{name}': source.repo is {repo!r}. A source of kind hub needs repo (owner/name) "
            "and revision (a commit)."
        )
    if not isinstance(revision, str) or not _COMMIT.fullmatch(revision):
        raise UserError(
            f"model '{name}': source.revision is {revision!r}. Allowed: a commit of {repo}, 40 hex digits; "
            "a branch or tag may change. The hub shows the commit under 'Files and versions'."
        )
    if source.get("format", "safetensors") not in FORMATS:
        raise UserError(f"model '{name}': source.format is {source['format']!r}. Allowed: {', '.join(FORMATS)}.")
    pinned = source.get("sha256") or {}
    if not isinstance(pinned, dict) or not all(_SHA256.fullmatch(str(one)) for one in pinned.values()):
        raise UserError(f"model '{name}': source.sha256 is no mapping of file names to 64 hex digits in lower case.")
    if source.get("format") == "bin" and (not pinned or any(not one.endswith(".bin") for one in pinned)):
        raise UserError(
            f"model '{name}': source.format is 'bin', so source.sha256 must name every .bin file with its hash "
            "(pytorch_model.bin: 64 hex digits), and nothing else. The hub shows it on the file's page."
        )
    return repo, revision, dict(pinned)


def _download(name: str, repo: str, revision: str, patterns: list[str], report: Callable[[str], None]) -> Path:
    """Return the folder of the hub's local cache that holds the wanted files, each one whole."""
    import huggingface_hub
    from huggingface_hub.utils import logging as hub_logging
    from tqdm.auto import tqdm

    show = byte_meter("download", report)
    reached = [0]

    class Meter(tqdm):
        """Takes the library's progress and turns that of the bytes into lines of ours."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            self.bytes, self.counts_bytes = int(options.get("initial") or 0), options.get("unit") == "B"
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            """Count, and report what is further than all before."""
            self.bytes += int(n or 0)
            if self.counts_bytes and self.bytes > reached[0]:
                reached[0] = self.bytes
                show(self.bytes, int(self.total or 0))

    hub_logging.set_verbosity_error()
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"], tqdm_class=Meter
            )
        )
    except Exception as error:
        raise explained(name, repo, revision, error) from error
    for path in sorted(folder.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns):
            _verify_cached(path, repo)
    return folder


def _verify_cached(path: Path, repo: str) -> None:
    """Hold a file of the cache against the hash that the hub announced, which is the name of its blob.

    The hub names large files by sha256 and small ones by git's blob id. A file that differs is removed from the cache.
    """
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name):
        actual = sha256_file(blob)
    elif _COMMIT.fullmatch(blob.name):
        content = blob.read_bytes()
        actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if actual != blob.name:
        blob.unlink()
        path.unlink(missing_ok=True)
        raise TransientError(
            f"{path.name} of {repo} came with other bytes than the hub announced (hash {blob.name}, received {actual}) "
            "and was thrown away. Run again; if it stays so, something between here and the hub changes the file"
        )


def _cached(repo: str, revision: str, weights: list[str]) -> bool:
    """Tell whether the local cache holds config and weights of a revision."""
    import huggingface_hub

    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, local_files_only=True, allow_patterns=["config.json"]
            )
        )
        whole = all((folder / one).is_file() for one in weights) if weights else bool(weight_files(folder))
    except (OSError, ValueError, UserError):
        return False
    return whole and (folder / "config.json").is_file()


def _safetensors(name: str, source: Mapping[str, Any], snapshot: Path) -> list[str]:
    """Return the names of the weight files, or say what there is instead."""
    try:
        return weight_files(snapshot)
    except UserError as error:
        from huggingface_hub import errors, get_cached_repo_tree

        try:
            tree = [one.path for one in get_cached_repo_tree(source["repo"], revision=source["revision"])]
        except errors.CachedRepoTreeNotFoundError:
            tree = []
        others = sorted(
            one for one in tree if one.endswith((".bin", ".pt", ".h5", ".msgpack", ".gguf", ".safetensors"))
        )
        raise UserError(
            f"model '{name}': {source['repo']} at {source['revision']} has no whole set of .safetensors files "
            f"({str(error).split(': ', 1)[-1]} Weights there: {', '.join(others) or 'unknown'}). "
            "Choose a revision that has them, or give source.format: bin with source.sha256 of each .bin file, "
            "which is then converted once."
        ) from None


def _convert(file: str, snapshot: Path, folder: Path, count: int, report: Callable[[str], None]) -> None:
    """Convert one .bin file of the cache, under the name that transformers expects."""
    report(f"converting {file} to safetensors in a process of its own")
    target = "model.safetensors" if count == 1 else Path(file).with_suffix(".safetensors").name
    convert("bin", snapshot / file, folder / target.replace("pytorch_model", "model"))


def _write_index(folder: Path) -> None:
    """Write the index of several safetensors files."""
    from laser.io.files import write_json
    from laser.models.card import read_header

    names = {tensor: path.name for path in sorted(folder.glob("*.safetensors")) for tensor in read_header(path)}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": names})


def _link(origin: Path, target: Path) -> None:
    """Give a file of the cache a second name in `target`, or copy it where the file system differs."""
    blob = origin.resolve()
    try:
        target.hardlink_to(blob)
    except OSError:
        shutil.copyfile(blob, target)
