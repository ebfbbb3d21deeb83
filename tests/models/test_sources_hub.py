"""Fetching from a hub: the real huggingface_hub and transformers against a server on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Forks
from tests.hub_server import Fault, Hub
from tests.hub_server import hub as hub  # the fixture
from tests.models.tiny import tiny_llama

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
FORKS = Forks("torch", "safetensors.torch", learns=True)
REVISION = "0123456789abcdef0123456789abcdef01234567"
RUN = """
import json, sys, time, types
from pathlib import Path
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 4096  # so that a small file comes in many pieces
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # the library's and our pauses, shortened
from laser.errors import UserError
from laser.io import retry
from laser.io.files import sha256_file
from laser.models import sources
what, entry, folder, pauses = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
retry.PAUSES = tuple(pauses)
if sys.argv[5] == "fetched alone":  # trying the model, for which transformers is imported, takes longer than the rest
    card = sys.modules["laser.models.card"] = types.ModuleType("laser.models.card")
    card.hashes = lambda folder: {
        path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.name != "card.json"
    }
    card.check_declared = lambda entry, facts: None
    card.inspect = lambda folder: {"layers": 2, "parameters": 0, "dtype_stored": "fp32", "notes": []}
try:
    if what == "check":
        print("CARD", json.dumps(sources.check(entry)))
    else:
        print("CARD", json.dumps(sources.fetch(entry, folder, lambda line: print("SAID", line))))
except UserError as error:
    print("ERROR", error)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("checkpoint"))


class Result:
    """What a fetch in a process of its own said, returned or refused."""

    def __init__(self, run: subprocess.CompletedProcess[str]) -> None:
        assert run.returncode == 0, run.stderr
        lines = run.stdout.splitlines()
        self.said = [line.removeprefix("SAID ") for line in lines if line.startswith("SAID ")]
        self.error = next((line.removeprefix("ERROR ") for line in lines if line.startswith("ERROR ")), "")
        card = next((line.removeprefix("CARD ") for line in lines if line.startswith("CARD ")), "null")
        self.card: Any = json.loads(card)
        self.stderr = run.stderr


def run(
    hub: Hub,
    place: Path,
    source: dict[str, Any],
    what: str = "fetch",
    pauses: tuple[float, ...] = (),
    tried: bool = False,
    **more: str,
) -> Result:
    environment = hub.environment(place / "hf", PYTHONPATH=str(SCRIPTS), OMP_NUM_THREADS="1", **more)
    entry = {"name": "tiny", "source": {"kind": "hub", "repo": "someone/tiny", "revision": REVISION} | source}
    folder, depth = str(place / "models/tiny"), "fetched and tried" if tried else "fetched alone"
    return Result(FORKS.run(RUN, [what, json.dumps(entry), folder, json.dumps(pauses), depth], environment))


def nothing_left(place: Path) -> bool:
    """Tell whether neither a checkpoint nor a half of one is in the models' folder."""
    return [one.name for one in (place / "models").iterdir()] == [".tiny.lock"]


def test_fetches_the_pinned_revision_and_reuses_the_cache_offline(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    hub.add("someone/tiny", {"config.json": b"{}"}, "f" * 40)  # main has moved on since
    unwanted = {"pytorch_model.bin": b"x", "README.md": b"x", "modeling_tiny.py": b"x", "onnx/model.safetensors": b"x"}
    hub.repositories["models/someone/tiny"].revisions[REVISION] |= unwanted
    result = run(hub, tmp_path, {}, tried=True)
    assert result.error == "" and "it/s]" not in result.stderr
    folder = tmp_path / "models/tiny"
    assert (folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    assert not [one for one in unwanted if (folder / Path(one).name).exists() and one != "onnx/model.safetensors"]
    assert not [path for _, path, _ in hub.requests if path.split("/")[-1] in ("pytorch_model.bin", "modeling_tiny.py")]
    assert result.card["revision"] == REVISION
    assert result.card["architecture"] == "llama" and result.card["layers"] == 2 and result.card["hidden"] == 32
    assert (
        result.card["files"]["model.safetensors"]
        == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    )
    assert json.loads((folder / "card.json").read_text()) == result.card
    assert any("100 %" in line or " MB in " in line for line in result.said)

    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
    hub.requests.clear()
    again = run(hub, tmp_path, {}, tried=True, HF_HUB_OFFLINE="1")
    assert again.error == "" and again.card == result.card and hub.requests == []
    assert run(hub, tmp_path, {}, what="check", HF_HUB_OFFLINE="1").error == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"revision": "9" * 40}, ["source.revision", "9" * 40, "does not exist", "someone/tiny"]),
        ({"repo": "someone/else"}, ["source.repo", "someone/else", "does not exist", "HF_TOKEN"]),
    ],
)
@pytest.mark.parametrize("what", ["fetch", "check"])
def test_a_source_that_does_not_exist(
    hub: Hub, checkpoint: Path, tmp_path: Path, source: dict[str, Any], words: list[str], what: str
) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    result = run(hub, tmp_path, source, what)
    assert all(word in result.error for word in ["'tiny'", *words]), result.error
    assert "Traceback" not in result.stderr
    if what == "fetch":
        assert nothing_left(tmp_path)


def test_gated(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION).token = "hf_right"
    for what in ("check", "fetch"):
        without = run(hub, tmp_path, {}, what)
        assert "gated" in without.error and "no token" in without.error and "HF_TOKEN=" in without.error
        wrong = run(hub, tmp_path, {}, what, HF_TOKEN="hf_wrong")
        assert "the token given has no access" in wrong.error and "hf_wrong" not in wrong.error
    assert nothing_left(tmp_path)
    assert run(hub, tmp_path, {}, "check", HF_TOKEN="hf_right").error == ""
    assert run(hub, tmp_path, {}, HF_TOKEN="hf_right").card["layers"] == 2


def test_a_server_error_is_waited_out_or_told(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    repository = hub.add("someone/tiny", checkpoint, REVISION)
    repository.faults["model.safetensors"] = Fault(status=500)
    result = run(hub, tmp_path, {}, pauses=(0.1,))
    assert "HTTP 500" in result.error and "Try again later" in result.error and "again in 0 s" in result.said[-1]
    assert nothing_left(tmp_path)
    repository.faults["model.safetensors"] = Fault(status=500, times=1)
    assert run(hub, tmp_path, {}, pauses=(0.1,)).card["layers"] == 2


def test_no_network(hub: Hub, tmp_path: Path) -> None:
    hub.url = "http://127.0.0.1:9"  # discard: nobody listens
    for what in ("check", "fetch"):
        result = run(hub, tmp_path, {}, what)
        assert "cannot be reached" in result.error and "HF_HOME" in result.error
    offline = run(hub, tmp_path, {}, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE" in offline.error


def test_a_cut_connection_is_resumed(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    repository = hub.add("someone/tiny", checkpoint, REVISION)
    repository.faults["model.safetensors"] = Fault(cut_after=20_000, times=1)
    assert run(hub, tmp_path, {}).card["layers"] == 2
    whole = (checkpoint / "model.safetensors").read_bytes()
    assert len(whole) > 40_000
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == whole
    ranges = [wanted for method, path, wanted in hub.requests if method == "GET" and path.endswith("model.safetensors")]
    assert ranges[0] == "" and len(ranges) == 2
    assert 4096 <= int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 20_000


def test_a_file_that_is_always_cut_is_never_taken_for_whole(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    repository = hub.add("someone/tiny", checkpoint, REVISION)
    repository.faults["model.safetensors"] = Fault(cut_after=20_000)
    result = run(hub, tmp_path, {})
    assert "cut" in result.error and nothing_left(tmp_path)
    offline = run(hub, tmp_path, {}, HF_HUB_OFFLINE="1")
    assert "not complete" in offline.error and nothing_left(tmp_path)
    del repository.faults["model.safetensors"]
    assert run(hub, tmp_path, {}).card["layers"] == 2


def test_other_bytes_than_announced_are_thrown_away(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    repository = hub.add("someone/tiny", checkpoint, REVISION)
    whole = (checkpoint / "model.safetensors").read_bytes()
    repository.faults["model.safetensors"] = Fault(body=whole[:-4] + b"evil", times=1)
    result = run(hub, tmp_path, {}, pauses=(0.1,))
    assert "other bytes" in result.said[-4] + "".join(result.said) and result.error == ""
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == whole
    config = (checkpoint / "config.json").read_bytes()
    repository.faults["config.json"] = Fault(body=config.replace(b'"silu"', b'"relu"'))
    again = run(hub, tmp_path / "other", {})
    assert "config.json" in again.error and "other bytes" in again.error and nothing_left(tmp_path / "other")


def test_a_wrong_pinned_sha256(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    actual = hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    wrong = run(hub, tmp_path, {"sha256": {"model.safetensors": "0" * 64}})
    assert "source.sha256" in wrong.error and "0" * 64 in wrong.error and actual in wrong.error
    absent = run(hub, tmp_path, {"sha256": {"model-00002.safetensors": actual}})
    assert "model-00002.safetensors" in absent.error and nothing_left(tmp_path)
    assert run(hub, tmp_path, {"sha256": {"model.safetensors": actual}}).card["layers"] == 2


def test_only_a_bin_file(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    side = {file.name: file.read_bytes() for file in checkpoint.iterdir() if file.suffix == ".json"}
    hub.add("someone/tiny", side | {"pytorch_model.bin": b"not read"}, REVISION)
    refused = run(hub, tmp_path, {})
    assert "no .safetensors" in refused.error and "pytorch_model.bin" in refused.error
    assert "save_pretrained" in refused.error and nothing_left(tmp_path)
    assert not [path for _, path, _ in hub.requests if path.endswith(".bin")]


def test_an_adapter_alone_and_one_beside_a_model(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    adapter = {
        "adapter_config.json": b"{}",
        "adapter_model.safetensors": (checkpoint / "model.safetensors").read_bytes(),
    }
    hub.add("someone/tiny", adapter, REVISION)
    refused = run(hub, tmp_path, {})
    assert "only an adapter" in refused.error and nothing_left(tmp_path)
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    hub.add("someone/tiny", files | adapter, REVISION)
    result = run(hub, tmp_path, {})
    assert any("adapter" in note for note in result.card["notes"])
    assert not (tmp_path / "models/tiny/adapter_model.safetensors").exists()


# The cache's layout as the library makes it for files that come through Xet.

XET_HASH = "ab" * 32


def publish(place: Path, name: str = "model.safetensors") -> Path:
    """Move a fetched file into the store that repositories share, with the library's own function; return it there."""
    from huggingface_hub.utils import _shared_blobs

    cache = place / "hf/hub"
    (pointer,) = cache.glob(f"models--someone--tiny/snapshots/{REVISION}/{name}")
    blob = pointer.parent / pointer.readlink()
    size = blob.stat().st_size
    assert _shared_blobs.publish_blob_to_shared_store(
        blob_path=str(blob.parent.resolve() / blob.name), xet_hash=XET_HASH, cache_dir=cache, expected_size=size
    )
    shared = _shared_blobs.shared_blob_path(cache, XET_HASH)
    assert pointer.resolve() == shared.resolve() and shared.is_file()
    return shared


def test_a_file_in_the_shared_store_is_good_and_keeps_its_mode(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    first = run(hub, tmp_path, {})
    shared = publish(tmp_path)
    for mode in (0o444, 0o600):
        shared.chmod(mode)
        shutil.rmtree(tmp_path / "models")
        hub.requests.clear()
        again = run(hub, tmp_path, {})
        assert again.error == "" and again.card["files"] == first.card["files"]
        assert not [path for method, path, _ in hub.requests if method == "GET" and path.endswith("model.safetensors")]
        assert shared.is_file() and shared.stat().st_mode & 0o777 == mode
        assert (tmp_path / "models/tiny/model.safetensors").stat().st_mode & 0o444 == 0o444
    assert run(hub, tmp_path, {}, what="check", HF_HUB_OFFLINE="1").error == ""


def test_a_damaged_file_in_the_shared_store_is_fetched_again(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    run(hub, tmp_path, {})
    shared = publish(tmp_path)
    whole = shared.read_bytes()
    shared.chmod(0o644)
    shared.write_bytes(whole[:-4] + b"evil")
    shutil.rmtree(tmp_path / "models")
    again = run(hub, tmp_path, {}, pauses=(0.1,))
    assert again.error == "" and (tmp_path / "models/tiny/model.safetensors").read_bytes() == whole
    assert any("other bytes" in line for line in again.said)


def test_xet_that_is_announced_and_not_served_is_one_message(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    repository = hub.add("someone/tiny", checkpoint, REVISION)
    repository.xet = {"model.safetensors": XET_HASH}
    result = run(hub, tmp_path, {}, HF_HUB_DISABLE_XET="0")
    assert result.error.startswith("model 'tiny': ") and "Traceback" not in result.stderr, result.error
    assert "HF_HUB_DISABLE_XET=1" in result.error and nothing_left(tmp_path)
    assert run(hub, tmp_path, {}).card["layers"] == 2  # without Xet's client, as the message says


def test_a_socks_proxy_without_its_library(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    for what in ("check", "fetch"):
        result = run(hub, tmp_path, {}, what, ALL_PROXY="socks5://127.0.0.1:9", all_proxy="socks5://127.0.0.1:9")
        assert "SOCKS proxy" in result.error and "socksio" in result.error, result.error


def test_the_cache_lies_beside_the_models_unless_it_is_named(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    home = tmp_path / "home"
    home.mkdir()
    result = run(hub, tmp_path, {}, HF_HOME="", HOME=str(home), XDG_CACHE_HOME="")
    assert result.error == ""
    assert (tmp_path / "models/downloads/hub/models--someone--tiny").is_dir()
    assert not list(home.rglob("*.safetensors"))
