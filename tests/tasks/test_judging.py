import unicodedata

import pytest

from laser.tasks.judging import contains, same


@pytest.mark.parametrize(
    ("text", "answer", "published", "corrected"),
    [
        ("I do not know.", "no", True, False),
        ("The answer is no.", " No", True, True),
        ("born in 2012", "12", True, False),
        ("it is 12, I think", "12", True, True),
        ("Côte d'Ivoire's capital", "Côte d'Ivoire", True, True),
        ("anything", "", False, False),
        ("anything", " \u200b", False, False),
        ("St. Louis", "st. louis", True, True),
        ("C++ is old", "C++", True, True),
        ("know, and no", "no", True, True),
        ("a_no", "no", True, False),
    ],
)
def test_released_and_corrected_rule(text, answer, published, corrected):
    assert contains(text, answer, word_boundaries=False) is published
    assert contains(text, answer, word_boundaries=True) is corrected


COMPOSED = "It is Bogotá, São Paulo, Zürich, Việt Nam, 서울, प्याज़, αθήνα"


@pytest.mark.parametrize("answer", ["Bogotá", "São Paulo", "Zürich", "Việt Nam", "서울", "प्याज़", "Αθήνα"])
@pytest.mark.parametrize("of_text", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("of_answer", ["NFC", "NFD", "NFKC", "NFKD"])
def test_composed_and_decomposed_letters_are_the_same(answer, of_text, of_answer):
    text, answer = unicodedata.normalize(of_text, COMPOSED), unicodedata.normalize(of_answer, answer)
    assert contains(text, answer, word_boundaries=True)
    assert same(f" {answer}", unicodedata.normalize(of_text, answer), corrected=True)


def test_the_released_rule_compares_code_points():
    decomposed = unicodedata.normalize("NFD", "café")
    assert not contains("a café", decomposed, word_boundaries=False)
    assert not same("café", decomposed, corrected=False)
    assert contains(decomposed, "cafe", word_boundaries=False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("カフェ２０１２年、１２番", "12"),
        ("ｱﾒﾘｶ", "アメリカ"),
        ("New\u00a0York", "New York"),
        ("the ﬁnal ofﬁce", "office"),
        ("co\u00adop\u00ader\u00adate", "cooperate"),
        ("می\u200cخواهم", "میخواهم"),
        ("in STRASSE", "Straße"),
        ("ΑΘΗΝΑΣ.", "αθηνας"),
        ("a ❤\ufe0f here", "❤"),
    ],
)
def test_writings_of_one_text_are_the_same(text, answer):
    assert contains(text, answer, word_boundaries=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (unicodedata.normalize("NFD", "a café"), "cafe"),
        ("x̂y", "x"),  # no composed letter exists
        ("x̂no", "no"),
        ("दिल्ली", "दिल"),
        ("नई दिल्ली", "ल"),
        ("شَمْس", "ش"),
        ("กิน", "ก"),
        ("ในปี ๒๐๑๒", "๑๒"),
        ("在2012年", "12"),
        ("서울은", "서"),
        ("Александрия", "Александр"),
        ("naïve", "na"),
    ],
)
def test_a_part_of_a_word_is_not_the_answer(text, answer):
    assert not contains(text, answer, word_boundaries=True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("法国的首都是巴黎。", "巴黎"),
        ("首都は東京です", "東京"),
        ("それはカメラです", "カメラ"),
        ("日々の暮らし", "日々"),
        ("スーパーで", "スーパー"),
        ("เมืองหลวงคือกรุงเทพมหานคร", "กรุงเทพ"),
        ("ນະຄອນຫຼວງວຽງຈັນ", "ວຽງຈັນ"),
        ("រាជធានីភ្នំពេញ", "ភ្នំពេញ"),
        ("ရန်ကုန်မြို့", "ရန်ကုန်"),
        ("首都はParisです", "Paris"),
        ("它在2012年", "2012"),
        ("使用C++编写", "C++"),
        ("столица — Москва.", "москва"),
        ("नई दिल्ली है", "दिल्ली"),
    ],
)
def test_boundaries_are_asked_for_between_scripts_with_spaces_alone(text, answer):
    assert contains(text, answer, word_boundaries=True)


def test_a_later_match_counts_where_an_earlier_one_is_part_of_a_word():
    assert contains("nono no", "no", word_boundaries=True)
    assert not contains("nono", "no", word_boundaries=True)
