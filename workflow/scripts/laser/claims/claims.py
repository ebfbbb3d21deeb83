"""The paper's claims, each with the rule that judges it on a study's own tables and figures. Nothing here is a result.

A judge takes the study's artefacts as frames, by name, and gives the comparisons that the claim is about. The frame
of a figure holds the data of all its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from laser.claims import figure_rules as pictures
from laser.claims import table_rules as tables
from laser.claims.findings import Artefacts, Comparison
from laser.config.rules import rules


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: short name, used as an anchor.
        source: the place in the paper, or who else raises the question.
        text: the claim in our own words.
        rule: in words, what makes one comparison `supported`, `contradicted` or `undecided`.
        evidence: names of the artefacts that are judged; all are needed.
        judge: the rule as a function of the artefacts.
    """

    name: str
    source: str
    text: str
    rule: str
    evidence: tuple[str, ...]
    judge: Callable[[Artefacts], Iterable[Comparison]]


SIGNIFICANT = (
    "Supported: the difference on held-out rows has the claimed sign, its Holm-adjusted paired p value is below 0.05, "
    f"and it is large enough to matter: {rules().margins.accuracy:g} points of accuracy, {rules().margins.loss:g} "
    f"nats, {rules().margins.reward:g} points of return. Contradicted: the same with the other sign. Undecided: "
    "otherwise, or where selection kept the base model."
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "accuracy",
        "Table 1, section 5",
        "The intervention chosen on validation rows raises accuracy on held-out rows, without any training.",
        SIGNIFICANT,
        ("table1",),
        tables.accuracy,
    ),
    Claim(
        "loss",
        "Table 1, section 5",
        "The same intervention, chosen by accuracy, mostly lowers the log-loss of the answer too.",
        SIGNIFICANT,
        ("table1",),
        tables.loss,
    ),
    Claim(
        "numbers",
        "Table 1",
        "The printed accuracies and losses of base and LASER.",
        "Supported: the verdict on the printed number is `replicated`. Contradicted: `differs`. Undecided: any other "
        "verdict (the report lists their rules). Only cells that the study ran on whole datasets are judged.",
        ("verdicts",),
        tables.numbers,
    ),
    Claim(
        "policy",
        "Table 2, section 5.3",
        "A policy that plays Sokoban solves more rooms, and has a higher return, with the intervention chosen on "
        "validation rooms.",
        SIGNIFICANT + " A study of smaller rooms or another model judges the claim, not the printed numbers.",
        ("table2",),
        tables.policy,
    ),
    Claim(
        "late-layers",
        "Table 3, Figures 2 and 9",
        "Gains come from the later layers.",
        "Only models whose accuracy rose by the rule of the first claim, each once per dataset and protocol. "
        "Supported: "
        "more than half of them chose a layer beyond the middle of those searched, and of candidates drawn at random "
        "so many would with a probability below 0.05. Contradicted: less than half, and so few. Undecided: otherwise.",
        ("table1", "table3"),
        tables.late_layers,
    ),
    Claim(
        "severe",
        "Table 3, section 5",
        "The best reduction is often severe: a tenth of the maximum rank or less is kept.",
        "Only models whose accuracy rose by the rule of the first claim, each once per dataset and protocol. "
        f"Supported: more than half of them chose a ρ of at most {rules().severe:g}, and of candidates drawn at random "
        "so many would with a probability below 0.05. Contradicted: less than half, and so few. Undecided: otherwise.",
        ("table1", "table3"),
        tables.severe,
    ),
    Claim(
        "published-choice",
        "Table 3",
        "The printed (τ, ℓ, ρ) raises accuracy on held-out rows.",
        "Supported: accuracy at the printed choice is above base by at least "
        f"{rules().margins.accuracy:g} points, with a paired p value below 0.05 that is Holm-adjusted over the study's "
        "printed choices. Contradicted: below base in the same way. Undecided: otherwise.",
        ("table3",),
        tables.published_choice,
    ),
    Claim(
        "early-layers",
        "Figure 2",
        "Reducing MLP matrices hurts in the first layers and helps in the last.",
        "Over all reductions of one MLP matrix. Supported: the highest loss of a layer falls from layer to layer "
        "(Spearman's correlation, permutation p below 0.05), the lowest loss is found beyond the middle, and both "
        f"differ from base by at least {rules().margins.loss:g} nats. Contradicted: it rises, and the lowest is found "
        "before the middle. Undecided: otherwise; of three layers no order is significant.",
        ("fig2",),
        pictures.early_layers,
    ),
    Claim(
        "attention",
        "Figure 2",
        "Reducing attention matrices changes the loss far less than reducing MLP matrices.",
        "Supported: the largest change of the loss over all layers and reductions of every attention matrix is at most "
        f"{rules().attention:g} times that of every MLP matrix. Contradicted: the other way round. Undecided: "
        "otherwise.",
        ("fig2",),
        pictures.attention,
    ),
    Claim(
        "paraphrase",
        "Section 5.1",
        "LASER makes answers more robust to paraphrase.",
        "The share of facts that are right in all phrasings. Supported: it rises by at least "
        f"{rules().margins.accuracy:g} points, with a Holm-adjusted paired p value below 0.05. Contradicted: the whole "
        "95 % interval of the gain lies below that margin: no gain that matters. Undecided: otherwise.",
        ("paraphrase",),
        tables.paraphrase,
    ),
    Claim(
        "top-k",
        "Section 5.1, Figures 3b and 8",
        "Accuracy rises not only at the first answer but among the ten most probable too.",
        "Whether the first token of the answer is among the ten most probable. " + SIGNIFICANT,
        ("topk",),
        tables.top_ten,
    ),
    Claim(
        "rare-facts",
        "Section 5.1.1, Figure 3c",
        "Facts that are rare in the training corpus gain most: more answers are corrected, relative to those that were "
        "right before, where the corpus has few documents on the fact.",
        "Shares of the wrong answers that are corrected, in the rarest and the commonest bin (the paper's ratio to "
        "answers that were right before grows without bound where few were). Where the corpus is known, bins are by "
        "how often a fact is told at all, right or wrong, so that noise does not make a fact rare. Supported: the "
        f"rarest bin's is larger by more than {rules().frequency:g} points, by the 95 % interval of the difference. "
        "Contradicted: smaller by as much. Undecided: otherwise.",
        ("fig3c",),
        pictures.rare_facts,
    ),
    Claim(
        "higher-order",
        "Section 5.1.2, Figure 5",
        "On answers that LASER repairs, the higher-order components alone give wrong answers.",
        "On rows that base has wrong and LASER right, the largest share of the smallest components that was kept short "
        "of all, against the control of none at all (the matrix zeroed). Supported: accuracy is lower by more than "
        f"{rules().components:g} points, by the 95 % interval of the difference. Contradicted: higher by as much. "
        "Undecided: otherwise, or the control was not evaluated.",
        ("fig5b",),
        pictures.higher_order,
    ),
    Claim(
        "composition",
        "Section 5.1, Figure 4",
        "Reducing several layers together gains more than the best single reduction.",
        "Accuracy of the composition against the best single intervention. " + SIGNIFICANT,
        ("compose",),
        tables.composition,
    ),
    Claim(
        "perplexity",
        "Section 5.1, C.4",
        "Perplexity on running text rises only a little.",
        "Supported: the 95 % interval of the perplexity over base's lies below the largest ratio that the paper "
        "prints, rounding allowed for. Contradicted: above it. Undecided: otherwise.",
        ("perplexity",),
        tables.perplexity,
    ),
    Claim(
        "effective-rank",
        "Figure 7",
        "The effective rank of MLP matrices is lower in later layers.",
        "Supported: the effective rank falls with the layer (Spearman's correlation, permutation p below 0.05), and "
        f"its mean is lower beyond the middle layer than before by at least {100 * rules().effective_rank:g} %. "
        "Contradicted: the other way round. Undecided: otherwise.",
        ("fig7",),
        pictures.effective_rank,
    ),
    Claim(
        "pruning",
        "Figure 10",
        "Setting the smallest weights to zero shows the same pattern as rank reduction.",
        "Per MLP matrix, Spearman's correlation over layers between the lowest losses that the two reach. Supported: "
        f"at least {rules().pattern:g} with a permutation p below 0.05. Contradicted: at most −{rules().pattern:g} "
        "with such a p. Undecided: otherwise, or fewer than four layers.",
        ("fig2", "fig10"),
        pictures.pruning,
    ),
)

QUESTIONS: tuple[Claim, ...] = (
    Claim(
        "selection",
        "ours",
        "The gain survives when the act of choosing is counted in.",
        "Bootstrap over validation groups, chosen in bag and scored out of bag. Supported: the middle 95 % of the "
        "out-of-bag gains, which is wider than a 95 % interval, lies above 0. Contradicted: below 0. Undecided: "
        "otherwise.",
        ("stability",),
        tables.selection,
    ),
    Claim(
        "baselines",
        "ours",
        "The chosen intervention does more than deleting or scaling the matrix, or removing its layer's MLP.",
        "Accuracy of LASER against each of the three on the same rows. Supported: it is higher than each by at least "
        f"{rules().margins.accuracy:g} points, with a Holm-adjusted paired p value below 0.05. Contradicted: the whole "
        "95 % interval of the difference to the best of them lies below that margin. Undecided: otherwise.",
        ("baselines",),
        tables.baselines,
    ),
    Claim(
        "consistency",
        "ours, after section 5.1",
        "A fact that is right in one phrasing is right in all of them more often.",
        "Of the facts that an arm has right in any phrasing, those that it has right in all: a gain in accuracy alone "
        f"does not raise it. Supported: higher by at least {rules().margins.accuracy:g} points, with a 95 % interval "
        "above 0. Contradicted: the whole interval lies below that margin. Undecided: otherwise.",
        ("paraphrase",),
        tables.consistency,
    ),
    Claim(
        "held-out-phrasings",
        "ours",
        "The gain holds for phrasings that the model was never trained on, where that is known.",
        "Rows in phrasings held out of the training corpus. " + SIGNIFICANT,
        ("paraphrase",),
        tables.held_out,
    ),
    Claim(
        "seeds",
        "ours",
        "The printed LASER number lies within the spread of the randomised SVD over seeds.",
        "At the printed choice, on whole datasets. Contradicted: the printed number lies outside the interval in which "
        "a further seed falls with 95 % (Student's t), rounding allowed for. Supported: it lies within, and the whole "
        "interval is within the margin of equivalence of the printed number. Undecided: otherwise.",
        ("seeds",),
        tables.seeds,
    ),
    Claim(
        "prompts",
        "ours",
        "The gain does not depend on the wording of the prompt.",
        "Only where accuracy rose significantly under the original prompt. Supported: under every other wording the 95 "
        f"% interval of the gain's difference to the original's gain lies within {rules().wording:g} points. "
        "Contradicted: under one of them it lies outside. Undecided: otherwise.",
        ("prompts",),
        tables.prompts,
    ),
    Claim(
        "cheap-search",
        "arXiv 2510.20800",
        "Ranking matrices by the gradients of their singular values finds as good a choice at a fraction of the cost.",
        "Supported: the cheap choice is not worse than the exhaustive one by more than a point (95 % interval of the "
        "difference above −1). Contradicted: it is worse by at least a point, with a Holm-adjusted paired p value "
        "below 0.05. Undecided: otherwise.",
        ("search",),
        tables.cheap_search,
    ),
    Claim(
        "saving",
        "ours",
        "The factors of the chosen reduction take less room than the matrix.",
        "Supported: k(m + n) < mn at the kept rank k. Contradicted: not. Undecided: base was chosen.",
        ("size",),
        tables.saving,
    ),
    Claim(
        "noise",
        "ours, after section 5.1",
        "LASER gains more the noisier the training corpus is.",
        "Per family and depth. Models of one seed share a corpus but for its noise, so levels are permuted within a "
        "seed. Supported: the mean over seeds of Spearman's correlation of gain with noise level is positive with p "
        f"below 0.05, and the mean gain at the highest level is less than {rules().margins.accuracy:g} points below "
        "that of any other. Contradicted: the correlation is negative with such a p. Undecided: otherwise.",
        ("noise",),
        pictures.noise,
    ),
    Claim(
        "no-noise",
        "ours, after section 5.1",
        "LASER leaves the accuracy of a model as it is if there was no noise in its training corpus.",
        "Per family and depth, models whose corpus has no noise. Supported: the 95 % interval of the gain of every one "
        f"lies within {rules().margins.accuracy:g} points. Contradicted: that of one of them lies outside. Undecided: "
        "otherwise.",
        ("noise",),
        pictures.no_noise,
    ),
)
"""Questions that the paper leaves open, or that others raise, in the same form."""
