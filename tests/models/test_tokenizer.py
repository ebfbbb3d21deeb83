"""The tokenizer of a checkpoint is that of its tokenizer.json, whatever class the checkpoint claims."""

import json

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from laser.errors import UserError
from laser.io.files import write_json
from laser.models.sources import fetch
from laser.models.tokenizer import TEXTS, hold_against_file, load_tokenizer, notes
from tests.models import families

LINES = ["The capital of France is Paris.", "In 1984 the café was closed.", "東京 is 42 km away. 😀", *TEXTS]
SIZE = 400


def sentencepiece_like():
    """As Llama's: spaces become ▁ in the normaliser, no pre-tokenizer, byte fallback."""
    built = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    built.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    built.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=special, show_progress=False))
    built.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return built


def byte_level(prefix_space=False, digits=False):
    """As GPT-2's; `digits` splits numbers into digits as Llama 3 and Qwen do."""
    built = Tokenizer(models.BPE())
    parts = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    built.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)])
    built.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    built.train_from_iterator(LINES, trainer)
    return built


def composed():
    built = byte_level()
    built.normalizer = normalizers.NFC()
    return built


def word_pieces():
    built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    built.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", AddedToken("[MASK]", lstrip=False)]
    built.train_from_iterator(LINES, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=special))
    return built


def unigram():
    built = Tokenizer(models.Unigram())
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=SIZE, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False
    )
    built.train_from_iterator(LINES, trainer)
    return built


KINDS = {
    "sentencepiece": sentencepiece_like,
    "bytes": byte_level,
    "prefix space": lambda: byte_level(prefix_space=True),
    "single digits": lambda: byte_level(digits=True),
    "composed": composed,
    "words": word_pieces,
    "unigram": unigram,
}


@pytest.fixture(scope="module")
def built():
    return {name: make() for name, make in KINDS.items()}


def write(folder, tokenizer, settings=None, **config):
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", {"model_type": "llama"} | config)
    if settings is not None:
        write_json(folder / "tokenizer_config.json", settings)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["qwen2", "gemma", "bert"])
def test_ids_are_those_of_the_file_for_every_claimed_class(built, tmp_path, kind, family):
    original = built[kind]
    claims = [None, "PreTrainedTokenizerFast", "LlamaTokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer", "BertTokenizer"]
    for number, claim in enumerate(claims):
        settings = None if claim is None else {"tokenizer_class": claim}
        folder = write(tmp_path / str(number), original, settings, model_type=family)
        tokenizer = load_tokenizer(folder)
        for text in [*TEXTS, "The capital of France is Paris"]:
            for special in (True, False):
                assert (
                    tokenizer(text, add_special_tokens=special)["input_ids"]
                    == original.encode(text, add_special_tokens=special).ids
                ), (claim, text)
            ids = original.encode(text).ids
            assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == original.decode(
                ids, skip_special_tokens=False
            )


def test_the_case_that_was_wrong(built, tmp_path):
    folder = write(tmp_path, built["sentencepiece"], {"tokenizer_class": "PreTrainedTokenizerFast"}, model_type="qwen2")
    wrong = AutoTokenizer.from_pretrained(folder)("The capital of France is")["input_ids"]
    tokenizer = load_tokenizer(folder)
    assert tokenizer("The capital of France is")["input_ids"] != wrong
    assert any("AutoTokenizer" in note and "other ids" in note for note in notes(folder, tokenizer, SIZE))


def test_truncation_and_padding_of_the_file_are_not_applied(built, tmp_path):
    original = byte_level()
    text = "The capital of France is Paris. " * 8
    whole = original.encode(text).ids
    original.enable_truncation(4)
    original.enable_padding(length=300)
    assert load_tokenizer(write(tmp_path, original))(text)["input_ids"] == whole


@pytest.mark.parametrize(
    ("settings", "extra", "config", "expected"),
    [
        ({"bos_token": "<s>", "eos_token": {"content": "</s>"}}, {}, {}, ("<s>", "</s>")),
        (None, {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": "</s>"}}, {}, ("<s>", "</s>")),
        (None, {}, {"bos_token_id": 1, "eos_token_id": [2, 0]}, ("<s>", "</s>")),
        (None, {}, {"bos_token_id": 50256, "eos_token_id": None}, (None, None)),
        ({"bos_token": "<not there>"}, {}, {}, (None, None)),
    ],
)
def test_special_tokens_come_from_the_files_or_the_config(built, tmp_path, settings, extra, config, expected):
    folder = write(tmp_path, built["bytes"], settings, **config)
    for name, content in extra.items():
        write_json(folder / name, content)
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.bos_token, tokenizer.eos_token) == expected
    assert len(tokenizer) == built["bytes"].get_vocab_size()


def test_mask_token_without_tokenizer_config(built, tmp_path):
    tokenizer = load_tokenizer(write(tmp_path, built["words"], model_type="bert"))
    assert tokenizer.mask_token == "[MASK]"
    assert tokenizer.mask_token_id in tokenizer("Paris is [MASK].")["input_ids"]


def test_a_claim_about_the_first_token_that_the_file_does_not_keep_is_noted(built, tmp_path):
    settings = {"bos_token": "<s>", "add_bos_token": True}
    folder = write(tmp_path, built["bytes"], settings)
    tokenizer = load_tokenizer(folder)
    assert tokenizer("Paris")["input_ids"][0] != 1
    assert any("add_bos_token: true, tokenizer.json does not add" in note for note in notes(folder, tokenizer, SIZE))
    agreed = write(tmp_path / "agreed", built["sentencepiece"], settings)
    assert not any("add_bos_token" in note for note in notes(agreed, load_tokenizer(agreed), SIZE))


def test_differing_ids_are_refused(built, tmp_path):
    folder = write(tmp_path / "one", built["bytes"])
    other = load_tokenizer(write(tmp_path / "other", built["single digits"]))
    with pytest.raises(UserError, match=r"tokenizer\.json: gives .* the ids .* but the loaded tokenizer gives"):
        hold_against_file(folder, other, ["In 1984"])
    hold_against_file(folder, load_tokenizer(folder), ["In 1984"])


def test_ids_beyond_the_vocabulary_of_the_model_are_refused(built, tmp_path):
    folder = write(tmp_path, built["bytes"])
    with pytest.raises(UserError, match=r"but the model has 300 tokens.*do not belong together"):
        notes(folder, load_tokenizer(folder), 300)


def test_tokenizer_from_vocabulary_files(tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    byte_level().model.save(str(parts))
    write_json(parts / "config.json", {"model_type": "gpt2"})
    tokenizer = load_tokenizer(parts)
    assert tokenizer.decode(tokenizer("The capital of France")["input_ids"]) == "The capital of France"
    assert "no tokenizer.json" in notes(parts, tokenizer, SIZE + 10)[0]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer.model": b"\x0a\x0e"}, ["only tokenizer.model", "tokenizer.json", "sentencepiece"]),
        ({"spiece.model": b"\x0a\x0e"}, ["only spiece.model"]),
        ({"vocab.json": b"{}"}, ["only vocab.json", "vocab.json with merges.txt"]),
        ({"tokenizer_config.json": b"{}"}, ["no vocabulary"]),
        ({}, ["no vocabulary"]),
        (
            {"tokenizer.json": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"},
            ["tokenizer.json", "Git LFS pointer", "git lfs pull"],
        ),
        ({"tokenizer.json": b"{}"}, ["cannot be loaded"]),
        ({"tokenizer.json": b"not json"}, ["cannot be loaded"]),
        ({"tokenizer.json": None, "tokenizer_config.json": b"[]"}, ["tokenizer_config.json", "not an object"]),
        ({"tokenizer.json": None, "tokenizer_config.json": b"{"}, ["tokenizer_config.json", "cannot be read as JSON"]),
    ],
)
def test_unfit_tokenizers_are_refused_at_fetch_and_at_loading(built, tmp_path, files, words):
    origin = tmp_path / "origin"
    families.build("llama").save_pretrained(origin)
    for name, content in files.items():
        (origin / name).write_bytes(built["bytes"].to_str().encode() if content is None else content)
    entry = {"name": "tiny", "source": {"kind": "local", "path": str(origin)}}
    for act in (lambda: fetch(entry, tmp_path / "models/tiny", print), lambda: load_tokenizer(origin)):
        with pytest.raises(UserError) as caught:
            act()
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert "tiktoken" not in str(caught.value)
    assert not (tmp_path / "models/tiny").exists()


def test_the_difference_from_automatic_loading_is_on_the_card(built, tmp_path):
    origin = tmp_path / "origin"
    families.build("qwen2", vocab_size=SIZE).save_pretrained(origin)
    config = json.loads((origin / "config.json").read_text())
    write(origin, built["sentencepiece"], {"tokenizer_class": "PreTrainedTokenizerFast"}, **config)
    card = fetch({"name": "t", "source": {"kind": "local", "path": str(origin)}}, tmp_path / "t", print)
    assert any("AutoTokenizer" in note for note in card["notes"])
