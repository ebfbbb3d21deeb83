"""Files of a package index on loopback: found, streamed, resumed, checked; what each fault says and leaves behind."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from laser.io import package_index, retry
from laser.io.archive_members import DamagedArchiveError, MissingMemberError, extract
from laser.io.package_index import PackageIndexError, Pin, fetch, pip_settings
from tests.index import Index, sdist, sha256

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = "tasks-1.0.tar.gz"
CONTENT = sdist({"tasks/a.json": b"[1]", "tasks/b.json": os.urandom(300_000), "tasks/c.txt": b"c"})
READER = package_index._pip_files
PIN = Pin("tasks", "1.0", sha256(CONTENT), ARCHIVE, len(CONTENT))


@pytest.fixture(autouse=True)
def pip(monkeypatch, tmp_path):
    """No pause between attempts, and none of the machine's settings of pip."""
    monkeypatch.setattr(retry, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(package_index, "_pip_files", dict)
    for name in package_index.SETTINGS:
        monkeypatch.delenv(f"PIP_{name.upper().replace('-', '_')}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def index(httpserver, monkeypatch):
    made = Index(httpserver, {ARCHIVE: CONTENT, "tasks-0.9.tar.gz": b"older"})
    monkeypatch.setenv("PIP_INDEX_URL", made.url)
    return made


def fetched(pin, folder, said=None):
    return fetch(pin, folder, (said if said is not None else []).append)


def refused(pin, folder):
    with pytest.raises(PackageIndexError) as caught:
        fetched(pin, folder)
    text = str(caught.value)
    assert "\n" not in text
    assert not (folder / ARCHIVE).exists()
    return text


def test_a_file_is_downloaded_once_and_kept(index, tmp_path):
    said = []
    path = fetched(PIN, tmp_path / "downloads", said)
    assert path == tmp_path / "downloads" / ARCHIVE
    assert path.read_bytes() == CONTENT
    assert any("downloading" in line for line in said)
    assert any(line.startswith(f"{ARCHIVE}: ") and " MB in " in line for line in said)
    index.server.clear()
    assert fetched(PIN, tmp_path / "downloads") == path


def test_a_kept_file_needs_no_lock_and_no_writable_folder(tmp_path, monkeypatch):
    (tmp_path / ARCHIVE).write_bytes(CONTENT)

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("filelock.FileLock.acquire", read_only)
    assert fetched(PIN, tmp_path) == tmp_path / ARCHIVE
    assert "cannot be written there" in refused(replace(PIN, archive="other-1.0.tar.gz"), tmp_path / "empty")


def test_a_kept_file_that_was_damaged_is_downloaded_anew(index, tmp_path):
    (tmp_path / ARCHIVE).write_bytes(CONTENT[:-1])
    assert fetched(PIN, tmp_path).read_bytes() == CONTENT
    assert len(index.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_resumed_where_the_index_serves_ranges(index, tmp_path, ranges):
    index.ranges, index.cut = ranges, {ARCHIVE: [100_000, 50_000]}
    assert fetched(PIN, tmp_path).read_bytes() == CONTENT
    assert index.asked == [None, "bytes=100000-", "bytes=150000-" if ranges else "bytes=50000-"]
    assert not list(tmp_path.glob("*.part"))


def test_a_download_goes_on_in_the_next_run(index, tmp_path):
    index.cut = {ARCHIVE: [1_000, 1_000, 1_000]}
    text = refused(PIN, tmp_path)
    assert "connection was cut after 3,000 bytes of" in text
    assert "Run again" in text
    assert (tmp_path / f"{ARCHIVE}.part").stat().st_size == 3_000
    said = []
    assert fetched(PIN, tmp_path, said).read_bytes() == CONTENT
    assert index.asked[-1] == "bytes=3000-"
    assert any("going on after" in line for line in said)


@pytest.mark.parametrize("rest", [b"of another file", b"x" * (len(CONTENT) + 5), CONTENT])
def test_whatever_stands_in_the_part_the_file_is_the_pinned_one(index, tmp_path, rest):
    (tmp_path / f"{ARCHIVE}.part").write_bytes(rest)
    assert fetched(PIN, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("announced", ["", PIN.sha256], ids=["unannounced", "announced"])
def test_another_file_than_the_pinned_one_is_deleted(index, tmp_path, announced):
    index.files[ARCHIVE], index.announced[ARCHIVE] = CONTENT[:-1] + b"?", announced
    text = refused(PIN, tmp_path)
    assert PIN.sha256 in text
    assert "It was deleted" in text
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("right", [0, 1, 2, None])
def test_of_several_wheels_without_a_hash_each_may_be_the_pinned_one(index, tmp_path, right):
    names = [f"tasks-1.0-{tag}.whl" for tag in ("cp311-cp311-linux_x86_64", "py2-none-any", "py3-none-any")]
    for number, name in enumerate(names):
        index.files[name] = CONTENT if number == right else CONTENT[:-1] + bytes([65 + number])
        index.announced[name] = ""
    pin = replace(PIN, archive=None)
    if right is None:
        assert PIN.sha256 in refused(pin, tmp_path)
    else:
        assert fetched(pin, tmp_path) == tmp_path / names[right]
    assert sorted(path.name for path in tmp_path.glob("*.whl")) == ([] if right is None else [names[right]])
    assert not list(tmp_path.glob("*.part"))


def test_a_longer_file_is_not_read_to_its_end(index, tmp_path):
    index.files[ARCHIVE], index.announced[ARCHIVE] = CONTENT + b"?" * 5_000_000, ""
    assert f"longer than the {len(CONTENT):,} bytes" in refused(PIN, tmp_path)


def test_nothing_is_downloaded_where_the_index_announces_another_hash(index, tmp_path):
    text = refused(replace(PIN, sha256="0" * 64), tmp_path)
    assert f"announces {PIN.sha256}" in text
    assert "Nothing was downloaded" in text
    assert not index.asked


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        (replace(PIN, package="absent"), ["no absent==1.0", "/simple", "PIP_INDEX_URL", "or put"]),
        (replace(PIN, version="3.0"), ["no tasks==3.0"]),
        (replace(PIN, archive="tasks-1.0.zip"), ["but not tasks-1.0.zip", f"It has: {ARCHIVE}"]),
        (Pin("tasks", "1.0", PIN.sha256), ["but not a wheel", f"It has: {ARCHIVE}"]),
    ],
)
def test_an_index_that_lacks_the_file(index, tmp_path, pin, words):
    text = refused(pin, tmp_path)
    assert all(word in text for word in words), text


def test_an_index_that_fails_or_cannot_be_reached(index, tmp_path, monkeypatch):
    index.status["/simple/tasks/"] = 503
    assert "cannot be reached (Failed to collect links" in refused(PIN, tmp_path)
    assert index.seen["/simple/tasks/"] == 3
    index.status = {f"/files/{ARCHIVE}": 500}
    assert "HTTP 500" in refused(PIN, tmp_path)
    index.status = {f"/files/{ARCHIVE}": 403}
    assert "HTTP 403" in refused(PIN, tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert "the package index cannot be reached" in refused(PIN, tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "no-index" in refused(PIN, tmp_path)


@pytest.mark.parametrize(("status", "reason"), [(401, "Client Error(401)"), (403, "Client Error(403)")])
def test_an_index_that_refuses_says_why_without_the_password(index, tmp_path, monkeypatch, status, reason):
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("://", "://someone:secret@"))
    index.status["/simple/tasks/"] = status
    text = refused(PIN, tmp_path)
    assert reason in text
    assert "secret" not in text
    assert "someone" not in text


def test_the_password_of_an_index_is_in_no_line_and_in_no_message(index, tmp_path, monkeypatch, caplog, capfd):
    caplog.set_level("WARNING")
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("://", "://someone:secret@"))
    said = []
    assert fetched(PIN, tmp_path / "downloads", said).read_bytes() == CONTENT
    index.status[f"/files/{ARCHIVE}"] = 403
    text = refused(PIN, tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple")
    text += refused(PIN, tmp_path)
    printed = capfd.readouterr()
    assert "secret" not in "".join([*said, text, caplog.text, printed.out, printed.err])


def test_a_further_index_and_a_folder_are_searched_as_pip_would(index, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index.url)
    assert fetched(PIN, tmp_path / "one").read_bytes() == CONTENT
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / ARCHIVE).write_bytes(CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "files"))
    asked = len(index.asked)
    assert fetched(PIN, tmp_path / "two").read_bytes() == CONTENT
    assert len(index.asked) == asked


def test_a_full_disk(index, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(package_index.os, "fsync", full)
    text = refused(PIN, tmp_path)
    assert "No space left on device" in text
    assert str(tmp_path) in text
    assert "Free space" in text
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_jobs_at_once_download_once(index, tmp_path):
    code = (
        "import sys; from pathlib import Path; from laser.io.package_index import Pin, fetch\n"
        f"fetch(Pin('tasks', '1.0', '{PIN.sha256}', '{ARCHIVE}'), Path(sys.argv[1]), print)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) for _ in range(3)]
    assert [job.wait(timeout=300) for job in jobs] == [0, 0, 0]
    assert len(index.asked) == 1


def test_pips_files_are_read_and_its_variables_win(monkeypatch):
    files = {"global.index-url": "https://a/simple", "download.index-url": "https://b/simple", "global.timeout": "5"}
    monkeypatch.setattr(package_index, "_pip_files", lambda: files)
    assert pip_settings() == {"index-url": "https://b/simple", "timeout": "5"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://c/simple")
    assert pip_settings()["index-url"] == "https://c/simple"


def test_what_pip_prints_is_understood(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://user:p=1@a/simple\nfind-links =\n    /x\n    /y\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    values = READER.__wrapped__()
    assert values["global.index-url"] == "https://user:p=1@a/simple"
    assert values["global.find-links"].split() == ["/x", "/y"]


def test_members(tmp_path):
    path = tmp_path / ARCHIVE
    path.write_bytes(CONTENT)
    assert extract(path, "tasks-1.0/tasks/a.json", tmp_path / "a") == sha256(b"[1]")
    assert (tmp_path / "a").read_bytes() == b"[1]"
    with pytest.raises(MissingMemberError) as caught:
        extract(path, "tasks-1.0/tasks/d.json", tmp_path / "d")
    assert caught.value.names == ["tasks-1.0/tasks/a.json", "tasks-1.0/tasks/b.json"]
    for damaged in (CONTENT[:200_000], b"no archive", b""):
        path.write_bytes(damaged)
        with pytest.raises((DamagedArchiveError, MissingMemberError)):
            extract(path, "tasks-1.0/tasks/c.txt", tmp_path / "c")
