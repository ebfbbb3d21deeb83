"""One estimate of a claim's effect over the models of a study, instead of a count of its comparisons.

A model counts once, however many datasets and protocols it has. Models trained on the same corpus also count as one,
because they share their training data. These units of averaging are called sources. If there is only one source, the
average is over its datasets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from laser.analysis.clusters import Mean, random_effects
from laser.analysis.tables import number
from laser.claims.findings import CONTRADICTED, SUPPORTED, UNDECIDED, Comparison, Effect


@dataclass(frozen=True)
class Estimate:
    """The mean of an effect over the sources of a study, or over the datasets of a single source.

    Attributes:
        mean: the mean, with its interval and the spread between sources (or datasets).
        sources: number of sources.
        datasets: number of datasets.
        models: number of models.
        effect: one of the effects, all of which have the same unit and rule.
    """

    mean: Mean
    sources: int
    datasets: int
    models: int
    effect: Effect

    @property
    def verdict(self) -> str:
        """The verdict of the mean on the claim, by the rule of its comparisons."""
        rule = self.effect
        sign = 1 if rule.rises else -1
        value, low, high = (sign * bound for bound in (self.mean.value, self.mean.low, self.mean.high))
        low, high = min(low, high), max(low, high)
        if low > sign * rule.supports and value >= rule.least:
            return SUPPORTED
        if rule.contradicts is None:
            return CONTRADICTED if high < 0 and value <= -rule.least else UNDECIDED
        return CONTRADICTED if high < sign * rule.contradicts else UNDECIDED

    def __str__(self) -> str:
        """Format the mean with its interval and its unit."""
        parts = (number(part, self.effect.places, True) for part in (self.mean.value, self.mean.low, self.mean.high))
        return "{} [{}, {}] ".format(*parts) + self.effect.unit

    @property
    def heterogeneity(self) -> str:
        """Describe what is averaged and how far its parts lie apart."""
        over = "source" if self.sources > 1 else "dataset"
        text = f"{_counted(self.models, 'model')} of {_counted(self.sources, 'source')}"
        if max(self.sources, self.datasets) == 1:
            return f"{text} on one dataset, about which alone the interval is"
        value, low, high = (number(part, self.effect.places) for part in self.mean.spread)
        return f"{text}, standard deviation between the true means of {over}s {value} [{low}, {high}]"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def estimates(comparisons: Sequence[Comparison], sources: Mapping[str, str]) -> list[Estimate]:
    """Return one estimate per unit of the effects that comparisons measured; an empty list if they measured none.

    Args:
        comparisons: comparisons of one claim in one study.
        sources: source of each model; a model without an entry is a source of its own.
    """
    by_unit: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        effect = comparison.effect
        if effect is not None and all(map(math.isfinite, (effect.value, effect.low, effect.high))):
            by_unit.setdefault(effect.unit, []).append(comparison)
    return [_estimate(measured, sources) for measured in by_unit.values()]


def _estimate(measured: Sequence[Comparison], sources: Mapping[str, str]) -> Estimate:
    source = [sources.get(comparison.subject, comparison.subject) for comparison in measured]
    dataset = [comparison.dataset for comparison in measured]
    alone = len(set(source)) == 1
    parts = _parts(measured, dataset if alone else source)
    means, errors = zip(*(_mean(part) for part in parts), strict=True)
    models = len({comparison.subject for comparison in measured})
    effect = measured[0].effect
    assert effect is not None
    return Estimate(random_effects(means, errors), len(set(source)), len(set(dataset)), models, effect)


def _parts(measured: Sequence[Comparison], labels: Sequence[str]) -> list[list[Comparison]]:
    """Group the comparisons by label."""
    parts: dict[str, list[Comparison]] = {}
    for comparison, label in zip(measured, labels, strict=True):
        parts.setdefault(label, []).append(comparison)
    return list(parts.values())


def _mean(part: Sequence[Comparison]) -> tuple[float, float]:
    """Return the mean effect of some comparisons, with its standard error; every model counts once.

    Protocols, datasets and models share rows. The mean of the errors is the error of the mean if all errors are common,
    and an upper bound otherwise.
    """
    from scipy.stats import norm

    values, widths = [], []
    for comparisons in _parts(part, [comparison.subject for comparison in part]):
        effects = [comparison.effect for comparison in comparisons if comparison.effect is not None]
        values.append(sum(effect.value for effect in effects) / len(effects))
        widths.append(sum(effect.high - effect.low for effect in effects) / len(effects))
    return sum(values) / len(values), sum(widths) / len(widths) / (2 * float(norm.ppf(0.975)))
