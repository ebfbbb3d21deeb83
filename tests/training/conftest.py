"""One small corpus for all tests of the folder that only read it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from laser.training.corpus import make_corpus
from tests.training.small import corpus_spec


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora") / "corpus-small"
    make_corpus(corpus_spec(), folder)
    return folder


@pytest.fixture(scope="session")
def sentences(corpus: Path) -> pd.DataFrame:
    return pd.read_parquet(corpus / "sentences.parquet")


@pytest.fixture(scope="session")
def facts(corpus: Path) -> pd.DataFrame:
    return pd.read_parquet(corpus / "facts.parquet")
