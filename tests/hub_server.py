"""A small Hugging Face Hub on loopback: what huggingface_hub asks for, with faults that can be switched on.

Use the `hub` fixture, add repositories with `hub.add`, and run the code under test in a process of its own with
`hub.environment(cache)`, because huggingface_hub reads HF_ENDPOINT and its like when it is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = (".safetensors", ".bin", ".parquet", ".gguf")


@dataclass
class Fault:
    """What goes wrong with one file, or with every request of a repository.

    Attributes:
        status: answer with this HTTP status.
        code: X-Error-Code of that answer, such as GatedRepo.
        times: how often; -1 is always.
        cut_after: close the connection after the file's first so many bytes.
        body: send these bytes in place of the file's (with the file's own hash in the header).
    """

    status: int = 0
    code: str = ""
    times: int = -1
    cut_after: int | None = None
    body: bytes | None = None

    def strikes(self) -> bool:
        """Use the fault up once; tell whether it was still there."""
        if self.times == 0:
            return False
        self.times -= 1 if self.times > 0 else 0
        return True


@dataclass
class Repository:
    """Files by revision (40 hex digits), and branch names."""

    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None  # a gated repository lets only this token through
    faults: dict[str, Fault] = field(default_factory=dict)  # by file name; "tree" is the listing
    xet: dict[str, str] = field(default_factory=dict)  # file name to the hash under which Xet's storage has it

    def commit(self, revision: str) -> str | None:
        """Return the commit that a revision stands for, or None."""
        revision = self.branches.get(revision, revision)
        return revision if revision in self.revisions else None


@dataclass
class Hub:
    """The server's repositories, by `models/owner/name` or `datasets/owner/name`, and what it was asked."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # (method, path, Range header)

    def add(
        self, name: str, files: Mapping[str, bytes] | Path, revision: str = "a" * 40, kind: str = "models"
    ) -> Repository:
        """Add a revision of a repository from file names and bytes, or from a folder; it becomes `main`."""
        if isinstance(files, Path):
            files = {str(one.relative_to(files)): one.read_bytes() for one in sorted(files.rglob("*")) if one.is_file()}
        repository = self.repositories.setdefault(f"{kind}/{name}", Repository())
        repository.revisions[revision] = dict(files)
        repository.branches["main"] = revision
        return repository

    def environment(self, cache: Path, **more: str) -> dict[str, str]:
        """Return the environment for a process that takes this server for the hub and `cache` for its local cache."""
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return keep | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            **more,
        }


def etag_of(name: str, content: bytes) -> str:
    """Return what the hub names a file by: sha256 for large ones, git's blob id for the others."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    sent = b""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _paths(self) -> list[str]:
        """Return the file names that a request for paths-info sent, as JSON or as a form."""
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(self.sent)["paths"]
            return [paths] if isinstance(paths, str) else paths
        return parse_qs(self.sent.decode()).get("paths", [])

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if path == "api/xet-token":
            return self._error(404, "")
        api = path.startswith("api/")
        parts = path.removeprefix("api/").split("/")
        kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
        repository = self.hub.repositories.get(f"{kind}/{'/'.join(parts[:2])}")
        if repository is None or len(parts) < 2:
            return self._error(401, "RepoNotFound")
        if repository.token is not None and self.headers.get("Authorization") != f"Bearer {repository.token}":
            return self._error(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        rest = parts[2:]
        verb = rest[0] if rest else "revision"
        commit = repository.commit(rest[1] if len(rest) > 1 else "main")
        if commit is None:
            return self._error(404, "RevisionNotFound")
        files = repository.revisions[commit]
        if not api:
            return self._file(repository, commit, "/".join(rest[2:]))
        fault = repository.faults.get("tree")
        if fault is not None and fault.status and fault.strikes():
            return self._error(fault.status, fault.code)
        if verb == "paths-info":
            return self._json(_entries({name: files[name] for name in self._paths() if name in files}))
        if verb == "tree":
            return self._json(
                _tree(files, "/".join(rest[2:]), "recursive=True" in self.path or "recursive=true" in self.path)
            )
        return self._json(_info("/".join(parts[:2]), commit, files))

    def _file(self, repository: Repository, commit: str, name: str) -> None:
        content = repository.revisions[commit].get(name)
        if content is None:
            return self._error(404, "EntryNotFound")
        etag = etag_of(name, content)
        fault = repository.faults.get(name)
        if fault is not None and fault.status and fault.strikes():
            return self._error(fault.status, fault.code)
        whole, cut = content, None
        if fault is not None and self.command == "GET" and not fault.status and fault.strikes():
            content, cut = fault.body if fault.body is not None else content, fault.cut_after
        first = 0
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first = int(wanted.removeprefix("bytes=").split("-")[0] or 0)
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - first))
        if name in repository.xet:
            self.send_header("X-Xet-Hash", repository.xet[name])
            self.send_header("X-Xet-Refresh-Route", f"{self.hub.url}/api/xet-token")
            self.send_header("X-Linked-Size", str(len(content)))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(whole)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        if cut is not None:
            self.wfile.write(content[first : max(cut, first)])
            self.wfile.flush()
            self.close_connection = True
            return None
        self.wfile.write(content[first:])
        return None

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _tree(files: Mapping[str, bytes], folder: str, recursive: bool) -> list[dict[str, object]]:
    inside = {name: content for name, content in files.items() if not folder or name.startswith(f"{folder}/")}
    start = len(folder) + 1 if folder else 0
    folders = sorted({name[: name.index("/", start)] for name in inside if "/" in name[start:]})
    listing: list[dict[str, object]] = [
        {"type": "directory", "path": one, "size": 0, "oid": hashlib.sha1(one.encode()).hexdigest()} for one in folders
    ]
    return listing + _entries({name: one for name, one in inside.items() if recursive or "/" not in name[start:]})


def _entries(files: Mapping[str, bytes]) -> list[dict[str, object]]:
    listing: list[dict[str, object]] = []
    for name, content in sorted(files.items()):
        one: dict[str, object] = {
            "type": "file",
            "path": name,
            "size": len(content),
            "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
        }
        if name.endswith(LARGE):
            one["lfs"] = {"oid": etag_of(name, content), "size": len(content), "pointerSize": 134}
        listing.append(one)
    return listing


def _info(name: str, commit: str, files: Mapping[str, bytes]) -> dict[str, object]:
    return {
        "id": name,
        "sha": commit,
        "private": False,
        "gated": False,
        "tags": [],
        "siblings": [{"rfilename": one} for one in sorted(files)],
    }


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub on a free port of loopback until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    handler.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub of its own for each test."""
    with serve() as running:
        yield running
