import pytest

from laser.tasks.judging import contains


@pytest.mark.parametrize(
    ("text", "answer", "published", "corrected"),
    [
        ("I do not know.", "no", True, False),
        ("The answer is no.", " No", True, True),
        ("born in 2012", "12", True, False),
        ("it is 12, I think", "12", True, True),
        ("Côte d'Ivoire's capital", "Côte d'Ivoire", True, True),
        ("anything", "", False, False),
        ("St. Louis", "st. louis", True, True),
        ("C++ is old", "C++", True, True),
    ],
)
def test_released_and_corrected_rule(text, answer, published, corrected):
    assert contains(text, answer, word_boundaries=False) is published
    assert contains(text, answer, word_boundaries=True) is corrected
