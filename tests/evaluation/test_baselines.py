"""Baselines on test rows, against plain transformers with weights changed by numpy or by hooks."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from laser.evaluation.baselines import Baseline, changed_matrix, in_random_subspace, largest_entries
from laser.evaluation.calibration import CONTENT_FREE, content_free
from laser.evaluation.cell import asked
from laser.io.files import read_parquet, read_spec, write_json
from laser.tasks.example import Example
from tests.evaluation.tiny_cell import FAMILIES, TinyCell, by_family

SITES = {"llama": "u_gate", "gptj": "q", "roberta": "u_in"}
WEIGHTS = {
    "llama": "model.layers.1.mlp.gate_proj.weight",
    "gptj": "transformer.h.1.attn.q_proj.weight",
    "roberta": "roberta.encoder.layer.1.intermediate.dense.weight",
}
MLP = {"llama": "model.layers.1.mlp", "gptj": "transformer.h.1.mlp", "roberta": "roberta.encoder.layer.1.output.dense"}
RANK = 8


def plain(cell, family):
    kind = AutoModelForMaskedLM if family == "roberta" else AutoModelForCausalLM
    return kind.from_pretrained(cell.model.parent).eval()


def with_biases(folder, family, builder="fever"):
    """Return a cell whose checkpoint has biases other than 0, with a choice per protocol."""
    cell = TinyCell(folder, family, builder)
    model = plain(cell, family)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    model.save_pretrained(cell.model.parent)
    return cell


@pytest.fixture(scope="module")
def cell_of(tmp_path_factory):
    return by_family(tmp_path_factory, with_biases)


def select(cell, **chosen):
    path = cell.folder / "selection.json"
    path.write_text(json.dumps({"protocols": {name: {"chosen": choice} for name, choice in chosen.items()}}))
    return path


def at(family, rank=RANK):
    return {"matrix": SITES[family], "layer": 1, "rho": rank / 32, "kept_rank": rank}


def run(cell, selection, output="baselines.parquet", **spec):
    return cell.run("evaluate_baselines", {"seeds": [0, 1, 2]} | spec, output, selection=selection)


@torch.no_grad()
def option_sums(model, questions):
    """Return the summed log-probabilities of every question's options, by plain forward passes."""
    made = {}
    for question in questions.items:
        sums = []
        for index in question.passes:
            scored = questions.requests.passes[index]
            logits = model(torch.tensor([scored.ids])).logits[0].double().log_softmax(-1)
            sums.append([float(logits[position, token]) for position, token in scored.queries])
        shared = len(sums) == 1 and len(question.lengths) > 1
        made[question.example.id] = sums[0] if shared else [sum(values) for values in sums]
    return made


def reference(model, questions, protocol, prior=None):
    """Return id to (right, loss) of questions with options, judged here."""
    judged = {}
    sums = option_sums(model, questions)
    for question in questions.items:
        example, values, lengths = question.example, sums[question.example.id], question.lengths
        gold = example.options.index(example.answer)
        compared = np.array(values)
        if protocol == "corrected" and len(set(lengths)) > 1:
            compared = compared / np.array(lengths)
        if prior is not None:
            compared = compared - np.log(prior)
        extra = 1 if protocol == "published" and questions.style == "option_masks" else 0
        judged[example.id] = (int(compared.argmax()) == gold, -values[gold] / (lengths[gold] + extra))
    return judged


def projected(weight, rank, seed):
    """Return a matrix with as many rows as columns or more, its inputs projected by numpy."""
    drawn = torch.randn(weight.shape[1], rank, generator=torch.Generator().manual_seed(seed)).numpy()
    basis = np.linalg.qr(drawn.astype(np.float64))[0]
    return weight @ basis @ basis.T


def pruned(weight, count):
    flat = np.zeros(weight.size)
    order = np.argsort(-np.abs(weight).ravel(), kind="stable")[:count]
    flat[order] = weight.ravel()[order]
    return flat.reshape(weight.shape)


def scaled(weight, rank):
    values = np.linalg.svd(weight, compute_uv=False)
    return weight * math.sqrt((values[:rank] ** 2).sum() / (values**2).sum())


CHANGES = {
    "zeroed_matrix": lambda weight: 0 * weight,
    "scaled_matrix": lambda weight: scaled(weight, RANK),
    "pruned_matrix": lambda weight: pruned(weight, RANK * sum(weight.shape)),
    **{f"random_subspace_{seed}": lambda weight, seed=seed: projected(weight, RANK, seed) for seed in range(3)},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_baseline_is_the_model_with_that_weight(cell_of, family):
    cell = cell_of(family)
    path = run(cell, select(cell, corrected=at(family), published=None), f"{family}.parquet")
    frame, spec, opened = read_parquet(path), read_spec(path), cell.open("test")
    rows = frame[frame["protocol"] == "corrected"].set_index(["baseline", "id"])
    weight = plain(cell, family).get_parameter(WEIGHTS[family]).detach().double().numpy()
    wanted = {"base": lambda weight: weight} | CHANGES
    if RANK * sum(weight.shape) >= weight.size:
        wanted.pop("pruned_matrix")
        assert "as many entries" in spec["not_applicable"]["corrected"]["pruned_matrix"]
    for name, change in wanted.items():
        model = plain(cell, family)
        model.get_parameter(WEIGHTS[family]).data = torch.from_numpy(change(weight)).float()
        expected = reference(model, opened.questions, "corrected")
        part = rows.loc[name]
        assert set(part.index) == opened.sides["corrected"], name
        for id_, (right, loss) in expected.items():
            if id_ in part.index:
                assert abs(part.loc[id_, "loss"] - loss) < 1e-4, (name, id_)
                assert part.loc[id_, "correct"] == right, (name, id_)
    assert rows.groupby("baseline")["loss"].mean().round(6).nunique() >= len(wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_removed_mlp_adds_nothing_not_even_its_bias(cell_of, family):
    cell = cell_of(family)
    path = run(cell, select(cell, corrected=at(family), published=None), f"{family}-mlp.parquet")
    frame, opened, model = read_parquet(path), cell.open("test"), plain(cell, family)
    model.get_submodule(MLP[family]).register_forward_hook(lambda module, given, made: torch.zeros_like(made))
    expected = reference(model, opened.questions, "corrected")
    part = frame[(frame["protocol"] == "corrected") & (frame["baseline"] == "removed_mlp")].set_index("id")
    assert len(part) == len(opened.sides["corrected"])
    for id_ in part.index:
        assert abs(part.loc[id_, "loss"] - expected[id_][1]) < 1e-4
    # All weights are restored: base, asked of the same loaded model afterwards, is base.
    again = read_parquet(run(cell, select(cell, corrected=at(family), published=at(family)), "again.parquet"))
    same = again[(again["protocol"] == "corrected")].reset_index(drop=True)
    assert same.equals(frame[frame["protocol"] == "corrected"].reset_index(drop=True))


def test_protocols_scale_to_the_energy_of_their_own_step(cell_of):
    cell = cell_of("llama")
    spec = read_spec(run(cell, select(cell, corrected=at("llama"), published=at("llama")), "both.parquet"))
    factors = {name: spec["baselines"][name]["scaled_matrix"]["amount"] for name in ("published", "corrected")}
    assert 0 < factors["published"] < factors["corrected"] < 1
    assert spec["baselines"]["published"]["random_subspace_2"] == {
        **{"kind": "random_subspace", "matrix": "u_gate", "layer": 1, "amount": RANK, "seed": 2}
    }


@pytest.mark.parametrize("family", ["llama", "roberta"])
def test_calibration_divides_by_what_a_prompt_without_content_favours(cell_of, family):
    cell = cell_of(family)
    path = run(cell, select(cell, corrected=None, published=None), f"{family}-calibrated.parquet")
    frame, spec, opened, model = read_parquet(path), read_spec(path), cell.open("test"), plain(cell, family)
    for protocol in ("published", "corrected"):
        fact = spec["baselines"][protocol]["calibrated"]
        ending = " is" if family == "llama" else " is <mask>"
        assert fact["prompts"] == [f"{text}{ending}" for text in CONTENT_FREE]
        examples = content_free([question.example for question in opened.questions.items])
        questions = asked(opened.spec, opened.loaded, examples)
        shares = []
        for question in questions.items:
            values = np.array(option_sums(model, questions)[question.example.id])
            if protocol == "corrected" and len(set(question.lengths)) > 1:
                values = values / np.array(question.lengths)
            shares.append(np.exp(values - values.max()) / np.exp(values - values.max()).sum())
        prior = np.mean(shares, axis=0)
        assert [fact["prior"][option] for option in ("true", "false")] == pytest.approx(list(prior), abs=1e-4)
        expected = reference(model, opened.questions, protocol, prior)
        rows = frame[frame["protocol"] == protocol].set_index(["baseline", "id"])
        part = rows.loc["calibrated"]
        assert [part.loc[id_, "correct"] for id_ in part.index] == [expected[id_][0] for id_ in part.index]
        assert (part["loss"] == rows.loc["base"]["loss"]).all()


def test_without_a_choice_there_is_no_matrix_to_delete(cell_of):
    cell = cell_of("gptj")
    path = run(cell, select(cell, corrected=None, published=at("gptj", 0)), "none.parquet")
    frame, spec = read_parquet(path), read_spec(path)
    lacking = spec["not_applicable"]
    assert set(frame.loc[frame["protocol"] == "corrected", "baseline"]) == {"base", "calibrated"}
    assert "base model was chosen" in lacking["corrected"]["zeroed_matrix"]
    assert set(frame.loc[frame["protocol"] == "published", "baseline"]) >= {"zeroed_matrix", "removed_mlp"}
    assert "rank 0" in lacking["published"]["random_subspace"]


@pytest.fixture(scope="module")
def facts_of(tmp_path_factory):
    return by_family(tmp_path_factory, lambda folder, family: with_biases(folder, family, "worldfacts"))


@pytest.mark.parametrize("family", FAMILIES)
def test_forbidden_words_are_never_the_first_token(facts_of, family):
    cell = facts_of(family)
    corpus = cell.folders.path("corpus", corpus_key="noisy")
    corpus.parent.mkdir(parents=True, exist_ok=True)
    opened, model = cell.open("test"), plain(cell, family)
    tokenizer = opened.loaded.tokenizer
    unforbidden = read_parquet(run(cell, select(cell, corrected=None, published=None), f"{family}-free.parquet"))
    base = unforbidden[(unforbidden["protocol"] == "corrected") & (unforbidden["baseline"] == "base")]
    # The words that this model gives most often, as far as they are words and one token.
    given = base["prediction"].str.strip().str.split().str[0].value_counts().index
    words = [word for word in given if len(tokenizer(f" {word}", add_special_tokens=False)["input_ids"]) == 1][:2]
    words += ["capital", "unheard-of-word"]
    write_json(corpus, {"settings": {"generic": dict.fromkeys(words, 1), "noise": {"level": 0.5}}})
    path = run(cell, select(cell, corrected=None, published=None), f"{family}-facts.parquet", corpus_key="noisy")
    frame, spec = read_parquet(path), read_spec(path)
    assert "open" in spec["not_applicable"]["corrected"]["calibrated"]
    single = set(spec["baselines"]["corrected"]["forbidden_words"]["words"])
    assert "capital" in single and "unheard-of-word" not in single
    tokens = {tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in single}
    rows = frame[frame["protocol"] == "corrected"].set_index(["baseline", "id"])
    changed = 0
    for question in opened.questions.items:
        id_ = question.example.id
        if id_ not in opened.sides["corrected"]:
            continue
        scored = opened.questions.requests.passes[question.passes[0]]
        ids = list(question.prompt_ids or scored.ids)
        position = len(ids) - 1 if question.prompt_ids else scored.top[0]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, position].double()
        before = int(logits.argmax())
        logits[list(tokens)] = -math.inf
        if question.prompt_ids:
            logits[list(opened.loaded.end_tokens)] = -math.inf
        first = tokenizer.decode([int(logits.argmax())], skip_special_tokens=True)
        prediction = rows.loc[("forbidden_words", id_), "prediction"]
        if before in tokens:
            changed += 1
            assert prediction.startswith(first), id_
        else:
            assert prediction == rows.loc[("base", id_), "prediction"]
    assert changed, "no row was answered with a forbidden word, so that the test shows nothing"


@pytest.mark.parametrize("noise", [{"level": 0}, {"level": 0.5, "kind": "wrong"}, {"level": 0.5, "kind": "filler"}])
def test_without_generic_words_in_place_of_answers_nothing_is_forbidden(facts_of, noise):
    cell = facts_of("llama")
    corpus = cell.folders.path("corpus", corpus_key="clean")
    corpus.parent.mkdir(parents=True, exist_ok=True)
    write_json(corpus, {"settings": {"generic": {"the": 1}, "noise": noise}})
    path = run(cell, select(cell, corrected=None, published=None), "clean.parquet", corpus_key="clean")
    assert "no words" in read_spec(path)["not_applicable"]["corrected"]["forbidden_words"]


def test_a_template_is_what_all_prompts_begin_and_end_with():
    def example(claim, **changes):
        return Example(claim, claim, claim, f"Claim: {claim}. True or false?", "true", ("true", "false"), **changes)

    made = content_free([example("It rains"), example("The sun shines"), example("Snow")])
    assert [one.prompt for one in made] == [f"Claim: {text}. True or false?" for text in CONTENT_FREE]
    assert [one.text for one in made] == list(CONTENT_FREE)
    assert content_free([example("It rains"), example("It rains")]) == []
    overlapping = [Example(name, name, "", prompt, "a", ("a", "b")) for name, prompt in (("1", "aba"), ("2", "ababa"))]
    assert content_free(overlapping)[-1].prompt == "aba"


def test_replacements_keep_what_they_say():
    generator = torch.Generator().manual_seed(3)
    for shape in ((20, 12), (12, 20)):
        weight = torch.randn(*shape, generator=generator)
        made = in_random_subspace(weight, 5, 0)
        assert int(torch.linalg.matrix_rank(made)) == 5
        assert torch.allclose(in_random_subspace(weight, 12, 0), weight, atol=1e-5)
        assert not torch.allclose(made, in_random_subspace(weight, 5, 1))
        assert torch.equal(changed_matrix(weight, Baseline("zeroed_matrix", "q", 0)), torch.zeros(shape))
    equal = torch.tensor([[1.0, -1.0, 1.0], [2.0, 1.0, 0.5]])
    assert largest_entries(equal, 3).tolist() == [[1.0, -1.0, 0.0], [2.0, 0.0, 0.0]]
    assert largest_entries(equal, 6).tolist() == equal.tolist()
