"""Fetching from a hub: the real huggingface_hub and transformers against a server on loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import Fault, Hub
from tests.hub_server import hub as hub  # the fixture
from tests.models.tiny import tiny_llama

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
REVISION = "0123456789abcdef0123456789abcdef01234567"
RUN = """
import json, sys, time
from pathlib import Path
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 4096  # so that a small file comes in many pieces
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # the library's and our pauses, shortened
from laser.errors import UserError
from laser.models import hub, sources
what, entry, folder, pauses = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
hub.PAUSES = tuple(pauses)
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
    hub: Hub, place: Path, source: dict[str, Any], what: str = "fetch", pauses: tuple[float, ...] = (), **more: str
) -> Result:
    environment = hub.environment(place / "hf", PYTHONPATH=str(SCRIPTS), OMP_NUM_THREADS="1", **more)
    entry = {"name": "tiny", "source": {"kind": "hub", "repo": "someone/tiny", "revision": REVISION} | source}
    command = [sys.executable, "-c", RUN, what, json.dumps(entry), str(place / "models/tiny"), json.dumps(pauses)]
    return Result(subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300))


def nothing_left(place: Path) -> bool:
    """Tell whether neither a checkpoint nor a half of one is in the models' folder."""
    return [one.name for one in (place / "models").iterdir()] == [".tiny.lock"]


def test_fetches_the_pinned_revision_and_reuses_the_cache_offline(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    hub.add("someone/tiny", checkpoint, REVISION)
    hub.add("someone/tiny", {"config.json": b"{}"}, "f" * 40)  # main has moved on since
    unwanted = {"pytorch_model.bin": b"x", "README.md": b"x", "modeling_tiny.py": b"x", "onnx/model.safetensors": b"x"}
    hub.repositories["models/someone/tiny"].revisions[REVISION] |= unwanted
    result = run(hub, tmp_path, {})
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
    again = run(hub, tmp_path, {}, HF_HUB_OFFLINE="1")
    assert again.error == "" and again.card == result.card and hub.requests == []
    assert run(hub, tmp_path, {}, what="check", HF_HUB_OFFLINE="1").error == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"revision": "9" * 40}, ["source.revision", "9" * 40, "does not exist", "someone/tiny"]),
        ({"revision": "main"}, ["source.revision", "'main'", "40 hex digits"]),
        ({"repo": "someone/else"}, ["source.repo", "someone/else", "does not exist", "HF_TOKEN"]),
        ({"repo": None}, ["source.repo", "owner/name"]),
        ({"format": "pickle"}, ["source.format", "'pickle'", "safetensors, bin"]),
        ({"format": "bin"}, ["source.sha256", "pytorch_model.bin"]),
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
    assert "not whole" in offline.error and nothing_left(tmp_path)
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
    import torch
    from safetensors.torch import load_file

    tensors = {name: one.half() for name, one in load_file(checkpoint / "model.safetensors").items()}
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]  # shares its memory
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    content = (tmp_path / "pytorch_model.bin").read_bytes()
    side = {one.name: one.read_bytes() for one in checkpoint.iterdir() if one.suffix == ".json"}
    hub.add("someone/tiny", side | {"pytorch_model.bin": content}, REVISION)

    refused = run(hub, tmp_path, {})
    assert "no whole set of .safetensors" in refused.error and "pytorch_model.bin" in refused.error
    assert "format: bin" in refused.error and nothing_left(tmp_path)

    pin = {"pytorch_model.bin": hashlib.sha256(content).hexdigest()}
    result = run(hub, tmp_path, {"format": "bin", "sha256": pin})
    assert result.error == "" and result.card["dtype_stored"] == "fp16"
    assert any("converted once" in note and "pytorch_model.bin" in note for note in result.card["notes"])
    folder = tmp_path / "models/tiny"
    assert not list(folder.glob("*.bin"))
    stored = load_file(folder / "model.safetensors")
    assert stored.keys() == tensors.keys() and all(torch.equal(stored[name], tensors[name]) for name in tensors)

    wrong = run(hub, tmp_path / "wrong", {"format": "bin", "sha256": {"pytorch_model.bin": "1" * 64}})
    assert "1" * 64 in wrong.error and nothing_left(tmp_path / "wrong")
