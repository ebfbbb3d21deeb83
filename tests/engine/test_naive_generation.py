"""Of a checkpoint's generation settings the reference engine reads the end tokens, and nothing else."""

import pytest
from transformers import GenerationConfig

from laser.engine import fast, naive
from laser.reduction.factors import FactorStore
from tests.engine.tiny_models import CONFIGS, made, requests

SETTINGS = {
    "penalty": {"repetition_penalty": 5.0},
    "no repeats": {"no_repeat_ngram_size": 1},
    "forced end": {"forced_eos_token_id": 7},
    "forced start": {"forced_bos_token_id": 7},
    "forbidden": {"suppress_tokens": list(range(3, 60)), "begin_suppress_tokens": list(range(60, 97))},
    "bad words": {"bad_words_ids": [[token] for token in range(3, 80)]},
    "bias": {"sequence_bias": [[[9], 50.0]]},
    "stop": {"stop_strings": ["a"]},
    "sampling": {"do_sample": True, "temperature": 5.0, "top_k": 90, "top_p": 0.5, "min_p": 0.1, "typical_p": 0.5},
    "beams": {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 2.0, "early_stopping": True},
    "lengths": {"min_length": 30, "min_new_tokens": 9, "max_length": 3, "max_new_tokens": 1},
    "time": {"max_time": 1e-9},
    "guidance": {"guidance_scale": 3.0},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "watermark": {"watermarking_config": {"bias": 9.0, "greenlist_ratio": 0.5, "hashing_key": 1}},
    "outputs": {"return_dict_in_generate": True, "output_scores": True, "output_logits": True},
    "no cache": {"use_cache": False},
    "static": {"cache_implementation": "static"},
    "decay": {"exponential_decay_length_penalty": [1, 2.0]},
    "lookup": {"prompt_lookup_num_tokens": 3},
    "pad": {"pad_token_id": 5, "bos_token_id": 6},
}


@pytest.fixture(scope="module")
def plain():
    loaded = made(CONFIGS["llama"]())
    return loaded, next(naive.evaluate(loaded, requests(), [()], None)).generations


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_no_setting_changes_the_text(settings, plain):
    loaded, expected = plain
    kept = loaded.model.generation_config
    own = GenerationConfig(eos_token_id=[2], **settings)
    loaded.model.generation_config = own
    try:
        (found,) = naive.evaluate(loaded, requests(), [()], None)
        assert loaded.model.generation_config is own
        (fast_found,) = fast.evaluate(loaded, requests(), [()], None)
    finally:
        loaded.model.generation_config = kept
    assert found.generations == fast_found.generations == expected


def test_the_settings_would_change_the_text(plain):
    """The test above would mean little if `generate` took none of them."""
    loaded, _ = plain
    prompt = loaded.model.dummy_inputs["input_ids"] % 97
    kept, texts = loaded.model.generation_config, []
    try:
        for settings in ({}, SETTINGS["penalty"]):
            loaded.model.generation_config = GenerationConfig(**settings)
            own = GenerationConfig(max_new_tokens=8, do_sample=False, pad_token_id=0)
            texts.append(loaded.model.generate(input_ids=prompt, generation_config=own).tolist())
    finally:
        loaded.model.generation_config = kept
    assert texts[0] != texts[1]


@pytest.mark.parametrize("ends", [(), (2,), (2, 11), (85,)])
def test_the_end_tokens_are_those_of_the_checkpoint(ends, tmp_path):
    loaded = made(CONFIGS["llama"](), ends=ends)
    store = FactorStore(tmp_path)
    (found,), (fast_found,) = (engine(loaded, requests(), [()], store) for engine in (naive.evaluate, fast.evaluate))
    assert found.generations == fast_found.generations
    for asked, tokens in zip(requests().generations, found.generations, strict=True):
        assert len(tokens) == asked.new_tokens or tokens[-1] in ends
        assert not set(tokens[:-1]) & set(ends)
