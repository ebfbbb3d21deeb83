import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from laser.engine.batches import Room, batches, is_lack_of_memory, run_halving


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


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        MemoryError("Unable to allocate 8.00 GiB for an array"),
    ],
    ids=str,
)
def test_every_form_of_a_lack_of_memory(error):
    def run(part):
        if len(part) > 1:
            raise error
        return part

    assert is_lack_of_memory(error)
    assert [part for part, _ in run_halving([1, 2, 3], run)] == [[1], [2], [3]]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"),
        RuntimeError("expected scalar type Half but found Float"),
        ValueError("out of memory"),
    ],
    ids=str,
)
def test_other_errors_pass(error):
    def run(part):
        raise error

    assert not is_lack_of_memory(error)
    with pytest.raises(type(error), match=str(error)):
        list(run_halving([1, 2], run))


def test_a_size_that_failed_is_not_tried_again():
    tried = []

    def run(part):
        tried.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError
        return part

    room = Room()
    done = [part for group in ([1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15]) for part, _ in
            run_halving(group, run, room)]  # fmt: skip
    assert [index for part in done for index in part] == list(range(1, 16))
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2, 3]
    assert room.too_large == 4


def test_sizes_are_counted_in_the_unit_that_is_given():
    tried = []

    def run(part):
        tried.append(list(part))
        if sum(part) > 10:
            raise torch.OutOfMemoryError
        return part

    room = Room()
    list(run_halving([6, 6], run, room, sum))
    list(run_halving([3, 3, 3], run, room, sum))
    list(run_halving([9, 4], run, room, sum))
    assert tried == [[6, 6], [6], [6], [3, 3, 3], [9], [4]]
