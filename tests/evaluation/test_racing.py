"""Racing: what stops, what never does, and how often the winner is stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest

from benchmarks.racing import error_rate
from laser.analysis.racing import Swept, replay, swept_scores, winner
from laser.config.protocols import PROTOCOLS
from laser.evaluation.racing import Rules, beaten, block_ends, run_race
from laser.evaluation.select import select

RULES = Rules(error=0.05, blocks=10, seed=0)


def replayed(correct, loss, base, rules):
    """Race candidates whose scores on all rows are known; base competes where it is given."""
    swept = Swept(
        [("u_in", layer, 0.1) for layer in range(len(correct))],
        correct,
        loss,
        np.zeros((2, correct.shape[1])) if base is None else base,
    )
    return replay(swept, base is not None, rules)


def scored(accuracies, rows, seed=0):
    """Return candidates of which each is right on a fixed number of rows, with losses that differ."""
    generator = np.random.default_rng(seed)
    correct = np.stack([generator.permutation(np.arange(rows) < round(share * rows)) for share in accuracies])
    return correct, generator.random(correct.shape)


@pytest.mark.parametrize(("rows", "blocks", "ends"), [(10, 2, [5, 10]), (3, 10, [1, 2, 3]), (1, 4, [1]), (7, 1, [7])])
def test_blocks_hold_every_row_once(rows, blocks, ends):
    assert block_ends(rows, blocks)[-1] == rows
    assert block_ends(rows, blocks) == ends


@pytest.mark.parametrize("level", [0.2, 0.05, 0.01])
def test_the_test_keeps_its_level_in_every_small_population(level):
    rows = 12
    for ahead, behind, drawn in product(range(7), range(7), range(1, rows)):
        if ahead > behind or ahead + behind > rows:
            continue
        alike, stopped = rows - ahead - behind, 0
        for more, less in product(range(ahead + 1), range(behind + 1)):
            if 0 <= drawn - more - less <= alike and beaten(more, less, rows - drawn, level):
                stopped += comb(ahead, more) * comb(behind, less) * comb(alike, drawn - more - less)
        assert stopped <= level * comb(rows, drawn)


@pytest.mark.parametrize(("more", "less", "unseen", "out"), [(5, 0, 4, True), (5, 0, 5, False), (6, 3, 2, True)])
def test_a_candidate_that_cannot_catch_up_stops_at_any_level(more, less, unseen, out):
    assert beaten(more, less, unseen, 1e-12) is out


def test_bad_candidates_stop_and_the_winner_is_whole():
    correct, loss = scored([0.05] * 20 + [0.6, 0.58], 200)
    race, same = replayed(correct, loss, None, RULES)
    assert same
    assert race.whole[[20, 21]].all()
    assert (race.seen[:20] < 100).all()


def test_without_a_difference_nothing_stops():
    correct, loss = scored([0.5], 200)
    race, same = replayed(np.repeat(correct, 5, axis=0), np.repeat(loss, 5, axis=0), None, RULES)
    assert same
    assert race.whole.all()


def test_ties_on_all_rows_are_left_to_the_loss():
    correct, _ = scored([0.5, 0.1], 300)
    correct = correct[[0, 0, 1]]
    loss = np.stack([np.full(300, 2.0), np.full(300, 1.0), np.zeros(300)])
    race, same = replayed(correct, loss, None, RULES)
    assert same
    assert race.whole.tolist() == [True, True, False]


def test_the_order_follows_from_the_seed():
    correct, loss = scored([0.5, *[0.3] * 20], 200)
    first, again, other = (replayed(correct, loss, None, replace(RULES, seed=seed))[0] for seed in (1, 1, 2))
    assert (first.seen == again.seen).all()
    assert (first.seen != other.seen).any()


def test_where_base_leads_the_best_candidate_is_whole():
    correct, loss = scored([0.05, 0.1, 0.2], 200)
    base = np.stack([np.ones(200), np.zeros(200)])
    race, same = replayed(correct, loss, base, RULES)
    assert same
    assert winner(correct, loss, base) is None
    assert race.whole.any()
    assert not race.whole.all()


def test_base_that_does_not_compete_stops_nothing():
    correct, loss = scored([0.05, 0.05], 200)
    race, _ = replayed(correct, loss, None, RULES)
    assert race.whole.all()


def test_a_candidate_that_overflows_stops():
    correct, loss = scored([0.5, 0.5], 100)
    loss[0, :] = np.nan
    race, same = replayed(correct, loss, None, RULES)
    assert same
    assert race.seen.tolist() == [10, 100]


def test_a_leader_that_overflows_gives_back_what_it_beat():
    correct, loss = scored([0.9, 0.2, 0.1], 200)
    order = np.random.default_rng(RULES.seed).permutation(200)
    loss[0, order[-1]] = np.nan
    race, same = replayed(correct, loss, None, RULES)
    assert same
    assert race.called_off
    assert race.whole.all()


@pytest.mark.parametrize("seed", range(6))
def test_the_winner_of_a_sweep_is_what_selection_chooses(seed, tmp_path):
    generator = np.random.default_rng(seed)
    grid, ids, matrices = list(product((0, 1), ("u_out", "u_in"), (0.9, 0.1))), ["b", "c", "a"], ["u_out", "u_in"]

    def rows(**labels):
        # Few values, so that accuracies and losses are often equal.
        scores = {"correct": generator.random(3) < 0.5, "loss": generator.integers(1, 3, 3).astype(float)}
        if labels and generator.random() < 0.2:
            scores["loss"][0] = np.nan
        return pd.concat([pd.DataFrame({"protocol": name, **labels, "id": ids, **scores}) for name in PROTOCOLS])

    base = rows()
    sweep = [rows(layer=layer, matrix=matrix, rho=rho) for layer, matrix, rho in grid]
    paths = [tmp_path / f"{number}.parquet" for number in range(len(sweep) + 1)]
    for path, frame in zip(paths, [base, *sweep], strict=True):
        frame.to_parquet(path)
    kept = {(matrix, layer, rho): 1 for layer, matrix, rho in grid}
    selected = select(base, pd.concat(sweep), matrices, kept)
    for protocol, swept in swept_scores(paths[0], paths[1:], matrices).items():
        won = winner(swept.correct, swept.loss, swept.base if PROTOCOLS[protocol].base_is_candidate else None)
        chosen = selected[protocol]["chosen"]
        assert (won is None) == (chosen is None)
        if chosen:
            assert swept.candidates[won] == (chosen["matrix"], chosen["layer"], chosen["rho"])


def test_each_row_is_asked_once_of_a_candidate():
    correct, loss = scored([0.9, 0.2, 0.1], 200)
    loss[0, np.random.default_rng(RULES.seed).permutation(200)[150]] = np.nan
    asked = np.zeros(correct.shape, dtype=int)

    def evaluate(which, rows):
        asked[np.ix_(which, rows)] += 1
        return correct[np.ix_(which, rows)], loss[np.ix_(which, rows)]

    race = run_race(200, 3, evaluate, None, RULES)
    assert asked.sum(axis=1).tolist() == race.seen.tolist()
    assert asked.max() == 1


def test_the_winner_is_stopped_no_more_often_than_stated():
    assert error_rate(rows=60, candidates=2, accuracy=0.4, alike=0.0, races=100) <= RULES.error


def test_a_laxer_rule_would_be_caught(monkeypatch):
    monkeypatch.setattr("laser.evaluation.racing.beaten", lambda more, less, unseen, level: more > less + 1)
    assert error_rate(rows=60, candidates=2, accuracy=0.4, alike=0.0, races=50) > 2 * RULES.error
