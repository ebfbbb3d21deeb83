import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laser.engine.batches import batches, run_halving


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_every_index_once_and_budget_kept(lengths, budget):
    groups = batches(lengths, budget)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= budget


def test_halves_until_it_fits_and_keeps_the_order():
    sizes = []

    def run(part):
        sizes.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError
        return [index * 10 for index in part]

    done = list(run_halving([4, 5, 6, 7, 8], run))
    assert [index for part, _ in done for index in part] == [4, 5, 6, 7, 8]
    assert [value for _, values in done for value in values] == [40, 50, 60, 70, 80]
    assert sizes == [5, 2, 3, 1, 2]


def test_one_sequence_that_does_not_fit_is_an_error():
    def run(part):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        list(run_halving([1, 2], run))


def test_lack_of_memory_on_the_cpu_halves_too_and_other_errors_pass():
    def run(part):
        if len(part) > 1:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"
            )
        return part

    assert [part for part, _ in run_halving([1, 2], run)] == [[1], [2]]

    def broken(part):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        list(run_halving([1, 2], broken))
