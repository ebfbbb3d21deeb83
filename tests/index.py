"""A package index on loopback (PEP 691 pages and the files), with faults to order, and archives to serve."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request, Response


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sdist(members: dict[str, bytes], release: str = "tasks-1.0") -> bytes:
    """Return a source archive with a setup.py that must never run."""
    buffer = io.BytesIO()
    # Without a time, which gzip writes in whole seconds, the same members give the same bytes.
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in {"setup.py": b"raise SystemExit('setup code was run')", **members}.items():
            entry = tarfile.TarInfo(f"{release}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Index:
    """A package index.

    Attributes:
        server: the pytest-httpserver.
        files: file name to content.
        announced: file name to the sha256 on the page; an empty text for none.
        status: request path to the status that it fails with.
        cut: by file, after how many bytes of an answer the connection is closed; used up by one request each.
        ranges: whether parts of files are served.
        seen: how often each path was asked for.
        asked: the Range header of each request for a file.
    """

    server: Any
    files: dict[str, bytes]
    announced: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    seen: Counter = field(default_factory=Counter)
    asked: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A server lives as long as its worker: what an earlier test registered would answer first.
        self.server.clear()
        self.server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    @property
    def url(self) -> str:
        return self.server.url_for("/simple")

    def _answer(self, request: Request) -> Response:
        path = request.path
        self.seen[path] += 1
        if path in self.status:
            return Response("no", status=self.status[path])
        name = path.rpartition("/")[2]
        if path.startswith("/simple/"):
            return self._page(path.strip("/").rpartition("/")[2])
        return self._file(name, request.headers.get("Range")) if name in self.files else Response("no", status=404)

    def _page(self, package: str) -> Response:
        prefix = re.compile(package.replace("-", "[-_.]+") + r"-\d")
        files = []
        for name, content in self.files.items():
            if prefix.match(name):
                digest = self.announced.get(name, sha256(content))
                hashes = {"sha256": digest} if digest else {}
                files.append({"filename": name, "url": f"/files/{name}", "hashes": hashes})
        if not files:
            return Response("no", status=404)
        body = {"meta": {"api-version": "1.0"}, "name": package, "files": files}
        return Response(json.dumps(body), content_type="application/vnd.pypi.simple.v1+json")

    def _file(self, name: str, wanted: str | None) -> Response:
        self.asked.append(wanted)
        content, status, headers = self.files[name], 200, {}
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return Response("", status=416)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        headers["Content-Length"] = str(len(content))
        ends = self.cut.get(name) or []
        sent = content[: ends.pop(0)] if ends else content
        return Response(iter([sent]), status=status, headers=headers, content_type="application/octet-stream")
