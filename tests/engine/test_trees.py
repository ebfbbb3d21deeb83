import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser.engine.trees import common, prefix_trees, separate

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12).map(tuple), min_size=1, max_size=25)


@settings(deadline=None)
@given(SEQUENCES, st.integers(1, 40), st.sampled_from([0.0, 0.125, 0.9]))
def test_paths_spell_their_sequences_and_nothing_is_lost(sequences, limit, share):
    trees = prefix_trees(sequences, limit, share)
    members = sorted(member for tree in trees for member in tree.paths)
    assert members == list(range(len(sequences)))
    for tree in trees:
        longest = max(len(sequences[member]) for member in tree.paths)
        assert len(tree) <= max(limit, 2 * longest)
        used = set()
        for member, path in tree.paths.items():
            assert tuple(tree.tokens[node] for node in path) == sequences[member]
            assert [tree.depths[node] for node in path] == list(range(len(path)))
            assert [tree.parents[node] for node in path] == [-1, *path[:-1]]
            used |= set(path)
        assert used == set(range(len(tree)))


@settings(deadline=None)
@given(SEQUENCES)
def test_a_prefix_of_one_tree_stands_there_once(sequences):
    for tree in prefix_trees(sequences, limit=10_000, share=0.0):
        prefixes = {tuple(sequences[member][: k + 1]) for member in tree.paths for k in range(len(sequences[member]))}
        assert len(tree) == len(prefixes)


@settings(deadline=None)
@given(SEQUENCES)
def test_ancestors_are_the_path(sequences):
    for tree in prefix_trees(sequences, 20):
        seen = tree.ancestors()
        for path in tree.paths.values():
            for place, node in enumerate(path):
                assert set(np.flatnonzero(seen[node])) == set(path[: place + 1])


def test_answers_and_options_share_their_prompt():
    prompt = tuple(range(10))
    trees = prefix_trees([prompt + (20, 21), prompt, prompt + (30,), prompt + (20, 22)])
    assert len(trees) == 1
    assert len(trees[0]) == 10 + 2 + 1 + 1


def test_a_short_prefix_does_not_merge():
    assert len(prefix_trees([(1, *range(10, 30)), (1, *range(40, 60))])) == 2


def test_a_full_tree_takes_no_more():
    sequences = [(1, 2, 3, 4, branch, branch) for branch in range(10, 30)]
    trees = prefix_trees(sequences, limit=12)
    assert len(trees) == 5
    assert all(len(tree) == 12 for tree in trees)


@pytest.mark.parametrize(("shared", "trees"), [(99, 1), (60, 1), (51, 1), (50, 2), (20, 2)])
def test_long_sequences_merge_where_more_is_shared_than_not(shared, trees):
    """Two answers to one prompt that is longer than the limit."""
    head = tuple(range(shared))
    pair = [head + tuple(range(start, start + 100 - shared)) for start in (1000, 2000)]
    assert len(prefix_trees(pair, limit=64)) == trees
    assert len(prefix_trees(pair, limit=200)) == 1


def test_many_long_sequences_stay_within_twice_the_longest():
    """As prompts with the same long examples before each question."""
    head = tuple(range(100))
    trees = prefix_trees([head + (1000 + index,) * 20 for index in range(30)], limit=64)
    assert [len(tree.paths) for tree in trees] == [7, 7, 7, 7, 2]
    assert max(len(tree) for tree in trees) == 240


def test_order_of_sequences_does_not_matter():
    sequences = [(1, 2, 3), (1, 2, 4), (1, 2), (5, 6)]
    forwards = prefix_trees(sequences)
    backwards = prefix_trees(sequences[::-1])
    assert [tree.tokens for tree in forwards] == [tree.tokens for tree in backwards]


def test_separate_keeps_every_sequence_apart():
    trees = separate([(1, 2), (1, 2)])
    assert [tree.tokens for tree in trees] == [[1, 2], [1, 2]]
    assert [list(tree.paths) for tree in trees] == [[0], [1]]


@pytest.mark.parametrize(("one", "other", "length"), [((), (1,), 0), ((1, 2), (1, 3), 1), ((1, 2), (1, 2, 3), 2)])
def test_common(one, other, length):
    assert common(one, other) == length
