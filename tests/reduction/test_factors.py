import stat

import pytest
import torch
from safetensors.torch import load_file, save_file

from laser.reduction import factors as module
from laser.reduction.factors import FactorStore, content_key
from laser.reduction.svd import exact_svd


@pytest.fixture
def weight():
    return torch.randn(24, 16, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def counted(monkeypatch):
    calls = []

    def count(weight):
        calls.append(tuple(weight.shape))
        return exact_svd(weight)

    monkeypatch.setattr(module, "exact_svd", count)
    return calls


def equal(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("u", "s", "vt"))


def test_computed_once_and_read_back_unchanged(tmp_path, weight, counted):
    first = FactorStore(tmp_path / "factors").get(weight)
    again = FactorStore(tmp_path / "factors").get(weight.clone())
    assert counted == [(24, 16)]
    assert equal(first, again) and equal(first, exact_svd(weight))
    assert [path.name for path in (tmp_path / "factors").iterdir()] == [f"{content_key(weight)}.safetensors"]


def test_key_follows_content_alone(weight):
    key = content_key(weight)
    assert len(key) == 64 and key == content_key(weight.clone())
    assert content_key(weight.T.contiguous().T) == key  # memory layout does not matter
    assert content_key(weight.half()) == content_key(weight.half().float())
    changed = weight.clone()
    changed[5, 5] = torch.nextafter(changed[5, 5], torch.tensor(9.0))
    assert len({key, content_key(changed), content_key(weight.T), content_key(weight.reshape(12, 32))}) == 4


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def other_text(path):
    path.write_text("not tensors")


def rewrite(path, change, key=None):
    tensors = {name: change(name, tensor) for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"key": key or path.stem})


def wrong_shape(path):
    rewrite(path, lambda _, tensor: tensor[:5].contiguous())


def wrong_dtype(path):
    rewrite(path, lambda _, tensor: tensor.half())


def other_key(path):
    rewrite(path, lambda _, tensor: tensor + 1, key="0" * 64)


def no_key(path):
    save_file(load_file(path), path)


@pytest.mark.parametrize("damage", [cut, empty, other_text, wrong_shape, wrong_dtype, other_key, no_key])
def test_damaged_file_is_made_anew(tmp_path, weight, counted, damage):
    store = FactorStore(tmp_path)
    store.get(weight)
    damage(store.path(weight))
    assert equal(store.get(weight), exact_svd(weight))
    assert equal(FactorStore(tmp_path).get(weight), exact_svd(weight))
    assert len(counted) == 2


def test_file_is_readable_by_all_and_nothing_temporary_stays(tmp_path, weight):
    store = FactorStore(tmp_path)
    store.get(weight)
    assert stat.S_IMODE(store.path(weight).stat().st_mode) == 0o644
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
