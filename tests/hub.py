"""A hub on loopback for dataset and tokenizer files, with faults to order; also plain files over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from werkzeug import Request, Response

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository's files at one commit.

    Attributes:
        server: the pytest-httpserver.
        files: path in the repository to content.
        revisions: names that stand for `COMMIT`, besides itself.
        status: (kind, path) or kind to the status with which requests fail; kind is `list`, `HEAD` or `GET`.
        cut: files of which half is sent before the connection is closed.
        seen: how often each (kind, path) was asked for.
    """

    server: Any
    files: dict[str, bytes]
    repo: str = "owner/data"
    repo_type: str = "dataset"
    revisions: tuple[str, ...] = ("main",)
    status: dict[Any, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    seen: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.server.expect_request(re.compile(".*")).respond_with_handler(self._answer)

    @property
    def endpoint(self) -> str:
        return self.server.url_for("").rstrip("/")

    def _answer(self, request: Request) -> Response:
        path = unquote(request.path).strip("/")
        plural = f"{self.repo_type}s"
        listing = f"api/{plural}/{self.repo}/revision/"
        resolve = (f"{plural}/" if self.repo_type == "dataset" else "") + f"{self.repo}/resolve/"
        if path.startswith(listing):
            return self._reply("list", "", path.removeprefix(listing))
        for revision in (COMMIT, *self.revisions):
            if path.startswith(f"{resolve}{revision}/"):
                return self._reply(request.method, path.removeprefix(f"{resolve}{revision}/"), revision)
        if path.startswith(resolve):
            return self._error(404, "RevisionNotFound")
        return self._error(401, "RepoNotFound")

    def _reply(self, kind: str, name: str, revision: str) -> Response:
        self.seen[kind, name] += 1
        status = self.status.get((kind, name), self.status.get(kind))
        if status is not None:
            return self._error(status, {401: "GatedRepo"}.get(status, ""))
        if revision not in (COMMIT, *self.revisions):
            return self._error(404, "RevisionNotFound")
        if kind == "list":
            siblings = [{"rfilename": one} for one in sorted(self.files)]
            body = {"_id": "0", "id": self.repo, "sha": COMMIT, "siblings": siblings, "private": False}
            return Response(json.dumps(body), content_type="application/json")
        if name not in self.files:
            return self._error(404, "EntryNotFound")
        content = self.files[name]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if name in self.cut and kind == "GET":
            # Werkzeug sends the length that it is told and closes after what there is.
            headers["Content-Length"] = str(len(content))
            return Response(iter([content[: len(content) // 2]]), headers=headers)
        return Response(content, headers=headers, content_type="application/octet-stream")

    @staticmethod
    def _error(status: int, code: str) -> Response:
        headers = {"X-Error-Code": code, "X-Error-Message": "made for a test"} if code else {}
        return Response("no", status=status, headers=headers)


class CuttingServer:
    """Says that it will send `announced` bytes, sends `content` and closes the connection."""

    def __init__(self, content: bytes, announced: int) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/file"
        self.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n".encode() + content
        self.requests = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.requests += 1
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)

    def close(self) -> None:
        self.socket.close()
