import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser.analysis.stability import BASE, Scores, choose, load_scores, resample
from laser.artefacts import stability
from laser.artefacts.stability import views as stability_views
from laser.config.protocols import PROTOCOLS
from laser.errors import UserError
from laser.evaluation.select import select
from laser.io.files import read_json, read_parquet, read_spec, write_json, write_parquet
from laser.results.study import StudyResults
from tests.artefacts import synthetic
from tests.artefacts.making import EVERY_CELL, spec_of
from tests.artefacts.synthetic_more import with_grid

ORDER = ["u_in", "u_out"]
PLACES = [(matrix, layer, rho) for layer in (0, 3) for matrix in ORDER for rho in (0.5, 0.1)]


def rows(correct, losses, groups):
    """Return base and swept rows as files hold them: (places + base, rows) tables, base last."""
    frames = []
    for place, right, loss in zip([*PLACES, None], correct, losses, strict=True):
        frame = pd.DataFrame({"protocol": "corrected", "id": [str(n) for n in range(len(groups))]})
        frame["correct"], frame["loss"] = np.array(right, dtype=bool), np.array(loss, dtype=float)
        for name, value in zip(("matrix", "layer", "rho"), place or ("", 0, 0.0), strict=True):
            frame[name] = value
        frames.append(frame)
    return frames[-1], pd.concat(frames[:-1], ignore_index=True)


def summed(correct, losses, groups):
    order = sorted(range(len(PLACES)), key=lambda k: (-PLACES[k][1], ORDER.index(PLACES[k][0]), PLACES[k][2]))
    columns = [*order, len(PLACES)]
    index = pd.factorize(np.array(groups))[0]
    finite = np.isfinite(losses)

    def total(values):
        return np.stack([np.bincount(index, weights=values[k]) for k in columns], axis=1)

    return Scores(
        [PLACES[k] for k in order],
        total(np.asarray(correct, dtype=float)),
        total(np.where(finite, losses, 0.0)),
        total((~finite).astype(float)),
        np.bincount(index).astype(float),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.sampled_from(["corrected", "published"]), st.booleans())
def test_a_resample_chooses_what_selection_chooses_on_the_resampled_rows(seed, count, protocol, overflow):
    draw = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), draw.integers(1, 4, count))
    # Few distinct values, so that ties of accuracy and of loss are common.
    correct = draw.random((len(PLACES) + 1, len(groups))) < 0.5
    losses = draw.integers(1, 3, correct.shape) / 2
    if overflow:
        losses[draw.integers(len(PLACES))] = np.inf
    weights = draw.multinomial(count, np.full(count, 1 / count))
    taken = np.concatenate([np.repeat(np.flatnonzero(groups == g), n) for g, n in enumerate(weights)]).astype(int)
    base, swept = rows(correct[:, taken], losses[:, taken], groups[taken])
    one = select(
        base.assign(protocol=protocol),
        swept.assign(protocol=protocol),
        ORDER,
        dict.fromkeys(PLACES, 1),
    )[protocol]["chosen"]
    scores = summed(correct, losses, groups)
    found = choose(scores, weights[None].astype(float), PROTOCOLS[protocol].base_is_candidate)[0]
    expected = None if one is None else (one["matrix"], one["layer"], one["rho"])
    assert (None if found == BASE else scores.candidates[found]) == expected


def test_out_of_bag_gains_are_those_of_the_groups_that_were_not_drawn():
    draw = np.random.default_rng(0)
    groups = np.arange(12)
    correct = draw.random((len(PLACES) + 1, 12)) < 0.4
    scores = summed(correct, np.ones(correct.shape), groups)
    choices, inside, outside = resample(scores, False, [1, 2], 40)
    generator = np.random.default_rng([1, 2])
    drawn = generator.multinomial(12, np.full(12, 1 / 12), size=40)
    for at in range(40):
        gain = 100 * (scores.correct[:, choices[at]] - scores.correct[:, -1])
        assert inside[at] == pytest.approx((drawn[at] * gain).sum() / 12)
        assert outside[at] == pytest.approx(gain[drawn[at] == 0].mean())


def test_pure_noise_gains_where_it_was_chosen_and_nothing_out_of_bag():
    draw = np.random.default_rng(1)
    groups, many = np.arange(200), 60
    correct = draw.random((200, many + 1)) < 0.5
    correct[:, -1] = groups % 2
    scores = Scores(
        [("u_in", layer, 0.1) for layer in range(many)],
        correct.astype(float),
        np.ones(correct.shape),
        np.zeros(correct.shape),
        np.ones(len(groups)),
    )
    _, inside, outside = resample(scores, False, [3], 400)
    assert inside.mean() > 5
    # The truth is 0; the best of these candidates on these rows is above it by luck, which resampling keeps in part.
    assert outside.mean() < inside.mean() - 5


def table(study, cells=EVERY_CELL, seed=0):
    spec = spec_of("stability", cells, seed=seed, resamples=150)
    return stability.make(StudyResults(spec, study.folder, study.folder / "cache"))


@pytest.fixture
def study(tmp_path):
    made = synthetic.build(tmp_path, examples=60)
    with_grid(made)
    return made


def test_a_whole_study_from_files(study):
    frame = table(study)
    assert set(frame["resamples"]) == {150}
    for _, cell in frame.groupby(["model", "dataset", "protocol"]):
        assert cell["share"].sum() == pytest.approx(100)
        assert cell["selected"].sum() == 1
        assert cell["share"].is_monotonic_decreasing
        assert (cell["n"] == 12).all() and (cell["candidates"] == 18).all()
    chosen = read_json(study.selections[0])["protocols"]["corrected"]["chosen"]
    own = frame[(frame["model"] == "gpt-j-6b") & (frame["dataset"] == "fever") & (frame["protocol"] == "corrected")]
    picked = own[own["selected"]].iloc[0]
    assert (picked["matrix"], picked["layer"], picked["rho"]) == (chosen["matrix"], chosen["layer"], chosen["rho"])
    validation = read_json(study.selections[0])["protocols"]["corrected"]["validation"]
    assert picked["gain"] == pytest.approx(validation["chosen"]["accuracy"] - validation["base"]["accuracy"])
    views = stability_views(frame)
    assert len(views) == 4 and all(len(row) == len(view.columns) for view in views for row in view.rows)


def test_equal_seeds_give_equal_tables_and_other_seeds_others(study):
    first, second, other = (table(study, EVERY_CELL[:1], seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(other)


def test_a_selection_that_its_sweep_does_not_give_is_refused(study):
    found = read_json(study.selections[0])
    found["protocols"]["published"]["chosen"] = found["protocols"]["published"]["candidates"][-1]
    write_json(study.selections[0], found)
    with pytest.raises(UserError, match=r"gpt-j-6b on fever, published: the selection file has .* give"):
        table(study)


def test_a_sweep_file_with_other_rows_than_base_is_refused(study):
    path = study.sweeps["gpt-j-6b", "fever"][0]
    write_parquet(path, read_parquet(path).iloc[1:], read_spec(path))
    with pytest.raises(UserError, match="other validation rows"):
        table(study)


def test_loading_sums_right_rows_and_losses_within_groups(study):
    groups = read_parquet(study.rows[1]).set_index("id")["group"]
    key = ("gpt-j-6b", "worldfacts")
    scores = load_scores(study.bases[1], study.sweeps[key], groups, ORDER)["corrected"]
    swept = pd.concat([read_parquet(path) for path in study.sweeps[key]])
    at = scores.candidates.index(("u_out", 2, 0.1))
    own = swept[(swept["protocol"] == "corrected") & (swept["matrix"] == "u_out")]
    own = own[(own["layer"] == 2) & (own["rho"] == 0.1)]
    means = own.groupby(own["id"].map(groups), sort=False)
    assert list(scores.correct[:, at]) == list(means["correct"].sum())
    assert scores.loss[:, at] == pytest.approx(list(means["loss"].sum()))
    assert list(scores.sizes) == list(means.size())
