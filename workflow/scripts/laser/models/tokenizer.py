"""The tokenizer of a checkpoint, exactly as its tokenizer.json describes it.

transformers rebuilds a tokenizer from vocabulary and merges with the class that a checkpoint claims, and drops the
file's normaliser and pre-tokenizer if the class has its own. Here the file itself is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laser.errors import UserError, shortened
from laser.models.stored import read_object, refuse_pointer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
MASKS = ("<mask>", "[MASK]")
BUILT_FROM = (("vocab.json", "merges.txt"), ("vocab.txt",))
"""Sets of files that transformers builds a tokenizer from if there is no tokenizer.json."""

SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json")
TEXTS = (
    "The capital of France is",
    " leading and trailing spaces  ",
    "two  spaces,   three    and four",
    "In 1984, 3.14159 × 1,000,000 = 42%",
    "first line\nsecond line\n\n\ttabulated\r\n",
    "Café, naïve, Bogotá, Ångström, Łódź, e\u0301",
    "東京は日本の首都です。北京是中国的首都。 서울",
    "Москва, Αθήνα, القاهرة, ירושלים",
    "smile 😀, family 👩‍👩‍👧, flag 🇫🇷",
    "def f(x): return {'a': [x ** 2]}  # don't, I'll, we've",
    "ﬁne ½ ™ … “quoted” — dash",
    "UPPER lower CamelCase snake_case",
    "",
    " ",
)
"""Texts on which the loaded tokenizer is compared with the file: spaces, digits, newlines, accents, scripts, emoji."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder, without running its code and without network.

    A tokenizer.json is loaded as it is; other files only name the special tokens. Without it, transformers builds a
    tokenizer from vocab.json and merges.txt, or from vocab.txt.

    Raises:
        UserError: there is no tokenizer that can be loaded, or it splits texts differently than its file.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    refuse_unfit(folder)
    try:
        if (folder / FILE).is_file():
            original = read_file(folder)
            tokenizer = PreTrainedTokenizerFast(tokenizer_object=original, **_settings(folder, original))
            hold_against_file(folder, tokenizer, TEXTS, original)
            return tokenizer
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exception
        line = (str(error).splitlines() or ["no message"])[0]
        raise UserError(
            f"{folder}: its tokenizer cannot be loaded ({type(error).__name__}: {line[:200]}). Fetch its files again, "
            f"or use a checkpoint with a {FILE} that the tokenizers library reads."
        ) from error


def refuse_unfit(folder: Path) -> None:
    """Refuse a folder without the files of a readable tokenizer.

    Raises:
        UserError: files are missing; the message says which, and which there are.
    """
    for name in (FILE, SETTINGS, "special_tokens_map.json", *(name for names in BUILT_FROM for name in names)):
        refuse_pointer(folder / name)
    if (folder / FILE).is_file() or any(all((folder / name).is_file() for name in names) for names in BUILT_FROM):
        return
    present = [name for name in (*SENTENCEPIECE, "vocab.json", "merges.txt") if (folder / name).is_file()]
    needed = f"one of {FILE}, vocab.json with merges.txt, or vocab.txt"
    if present:
        raise UserError(
            f"{folder}: of a tokenizer's files, it has only {', '.join(present)}; {needed} is needed. "
            "If sentencepiece is installed, AutoTokenizer.from_pretrained(folder).save_pretrained(folder) "
            "writes a tokenizer.json; check that it splits texts like the original."
        )
    raise UserError(f"{folder}: it has no vocabulary: {needed} is needed.")


def hold_against_file(
    folder: Path, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], original: Any = None
) -> None:
    """Compare the ids of a loaded tokenizer with those of the folder's tokenizer.json, if it has one.

    Args:
        folder: the checkpoint's folder.
        tokenizer: the tokenizer from `load_tokenizer`.
        texts: the texts to tokenise.
        original: tokenizer.json as `read_file` returns it; read from the folder if it is not given.

    Raises:
        UserError: they differ.
    """
    if not (folder / FILE).is_file():
        return
    original = original or read_file(folder)
    for text in texts:
        for special in (True, False):
            expected = original.encode(text, add_special_tokens=special).ids
            given = list(tokenizer(text, add_special_tokens=special)["input_ids"])
            if given != expected:
                raise UserError(
                    f"{folder / FILE}: gives {shortened(text)} the ids {shortened(expected)}, but the loaded tokenizer "
                    f"gives {shortened(given)}. Its added tokens in {SETTINGS} do not match; correct one of the two."
                )


def read_file(folder: Path) -> Any:
    """Return tokenizer.json as the tokenizers library reads it, without truncation and padding."""
    from tokenizers import Tokenizer

    original = Tokenizer.from_file(str(folder / FILE))
    original.no_truncation()
    original.no_padding()
    return original


def notes(folder: Path, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[str]:
    """Return notes on a checkpoint's tokenizer for readers of the card.

    Args:
        folder: the checkpoint's folder.
        tokenizer: the tokenizer from `load_tokenizer`.
        vocabulary: the number of tokens of the model.

    Raises:
        UserError: the tokenizer gives ids that the model does not have.
    """
    for text in TEXTS:
        beyond = [index for index in tokenizer(text)["input_ids"] if index >= vocabulary]
        if beyond:
            raise UserError(
                f"{folder}: its tokenizer gives {shortened(text)} the token {beyond[0]} "
                f"({shortened(tokenizer.convert_ids_to_tokens(beyond[0]))}), but the model has {vocabulary} tokens. "
                "Tokenizer and weights do not belong together; fetch both from one revision."
            )
    if not (folder / FILE).is_file():
        return [f"no {FILE}: transformers {_version()} built the tokenizer from its vocabulary files"]
    remarks = []
    ids = read_file(folder).encode("x").ids
    settings = read_object(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    for key, token in (("add_bos_token", tokenizer.bos_token_id), ("add_eos_token", tokenizer.eos_token_id)):
        asked = settings.get(key)
        adds = bool(ids) and ids[0 if key == "add_bos_token" else -1] == token
        if isinstance(asked, bool) and token is not None and asked != adds:
            remarks.append(
                f"{SETTINGS} has {key}: {str(asked).lower()}, {FILE} {'adds' if adds else 'does not add'} that token; "
                f"{FILE} is followed"
            )
    note = _of_transformers(folder, tokenizer)
    return [*remarks, *([note] if note else [])]


def _of_transformers(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a note if AutoTokenizer would split texts differently than the file, else an empty text."""
    import transformers

    try:
        automatic = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        differing = [text for text in TEXTS if automatic(text)["input_ids"] != tokenizer(text)["input_ids"]]
    except Exception:
        return f"AutoTokenizer of transformers {_version()} cannot load the tokenizer; {FILE} itself is loaded"
    if not differing:
        return ""
    return (
        f"AutoTokenizer of transformers {_version()} gives other ids than {FILE} ({len(differing)} of {len(TEXTS)} "
        f"texts, first {shortened(differing[0])}); {FILE} itself is loaded"
    )


def _version() -> str:
    import transformers

    return str(transformers.__version__)


def _settings(folder: Path, original: Any) -> dict[str, Any]:
    """Return the special tokens by name, from the checkpoint's files or by their ids in config.json.

    The result also has tokenizer_config.json's setting for the removal of spaces before punctuation, if it has one.
    """
    named: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", SETTINGS):
        settings = read_object(folder / name) if (folder / name).is_file() else {}
        for key in SPECIAL:
            content = settings[key].get("content") if isinstance(settings.get(key), Mapping) else settings.get(key)
            if isinstance(content, str):
                named[key] = content
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    for key in ("bos_token", "eos_token", "pad_token"):
        index = config.get(f"{key}_id")
        index = index[0] if isinstance(index, list) and index else index
        token = original.id_to_token(index) if type(index) is int and index >= 0 else None
        if token is not None:
            named.setdefault(key, token)
    for mask in MASKS:
        if original.token_to_id(mask) is not None:
            named.setdefault("mask_token", mask)
    # A token that the file lacks would be added with a new id, which the model does not know.
    given = {key: token for key, token in named.items() if original.token_to_id(token) is not None}
    clean = settings.get("clean_up_tokenization_spaces")
    return given | ({"clean_up_tokenization_spaces": clean} if isinstance(clean, bool) else {})
