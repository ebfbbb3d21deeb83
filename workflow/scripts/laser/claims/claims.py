"""The paper's claims, each with the rule that judges it on a study's own tables and figures. Nothing here is a result.

A judge gets the study's artefacts as frames, by name, and returns a finding per comparison that the claim is about. The
frames of figures hold the data of all pictures of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from laser.claims import figure_rules as pictures
from laser.claims import table_rules as rules
from laser.claims.findings import Artefacts, Comparison


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: short, used as an anchor.
        source: where in the paper, or who else asks.
        text: the claim in our own words.
        rule: what makes one comparison `supported`, `contradicted` or `undecided`, in words.
        evidence: names of the artefacts that are judged; all are needed.
        judge: the rule as a function of the artefacts.
    """

    name: str
    source: str
    text: str
    rule: str
    evidence: tuple[str, ...]
    judge: Callable[[Artefacts], list[Comparison]]


SIGNIFICANT = (
    "Supported: the difference on held-out rows has the claimed sign and its Holm-adjusted paired p value is below "
    "0.05. Contradicted: the same with the other sign. Undecided: otherwise, or where selection kept the base model."
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "accuracy",
        "Table 1, section 5",
        "The intervention chosen on validation rows raises accuracy on held-out rows, without any training.",
        SIGNIFICANT,
        ("table1",),
        rules.accuracy,
    ),
    Claim(
        "loss",
        "Table 1, section 5",
        "The same intervention, chosen by accuracy, mostly lowers the log-loss of the answer too.",
        SIGNIFICANT,
        ("table1",),
        rules.loss,
    ),
    Claim(
        "numbers",
        "Table 1",
        "The printed accuracies and losses of base and LASER.",
        "Supported: the verdict on the printed number is `replicated`. Contradicted: `differs`. Undecided: any other "
        "verdict (the report lists their rules). Only cells that the study ran on whole datasets are judged.",
        ("verdicts",),
        rules.numbers,
    ),
    Claim(
        "policy",
        "Table 2, section 5.3",
        "A policy that plays Sokoban solves more rooms, and has a higher return, with the intervention chosen on "
        "validation rooms.",
        SIGNIFICANT + " A study of smaller rooms or another model judges the claim, not the printed numbers.",
        ("table2",),
        rules.policy,
    ),
    Claim(
        "late-layers",
        "Table 3, Figures 2 and 9",
        "Gains come from the later layers.",
        "Supported: the chosen layer lies beyond the middle of the layers that were searched. Contradicted: before it. "
        "Undecided: at the middle, or base was chosen. A layer drawn at random would be supported half of the time, so "
        "this needs several cells.",
        ("table3",),
        rules.late_layers,
    ),
    Claim(
        "severe",
        "Table 3, section 5",
        "The best reduction is often severe: a tenth of the maximum rank or less is kept.",
        "Supported: the chosen ρ is at most 0.1. Contradicted: it is larger. Undecided: base was chosen.",
        ("table3",),
        rules.severe,
    ),
    Claim(
        "published-choice",
        "Table 3",
        "The printed (τ, ℓ, ρ) raises accuracy on held-out rows.",
        "Supported: accuracy at the printed choice is above base with a paired p value below 0.05. Contradicted: below "
        "base with such a p value. Undecided: otherwise.",
        ("table3",),
        rules.published_choice,
    ),
    Claim(
        "early-layers",
        "Figure 2",
        "Reducing MLP matrices hurts in the first layers and helps in the last.",
        "Over all reductions of one MLP matrix: supported if the highest loss is found before the middle layer and the "
        "lowest, below base, beyond it. Contradicted: the other way round. Undecided: otherwise.",
        ("fig2",),
        pictures.early_layers,
    ),
    Claim(
        "attention",
        "Figure 2",
        "Reducing attention matrices changes the loss far less than reducing MLP matrices.",
        "Supported: the largest change of the loss over all layers and reductions of every attention matrix is below "
        "that of every MLP matrix. Contradicted: it is above that of every MLP matrix. Undecided: otherwise.",
        ("fig2",),
        pictures.attention,
    ),
    Claim(
        "paraphrase",
        "Section 5.1",
        "LASER makes answers more robust to paraphrase.",
        "The share of facts that are right in all phrasings. " + SIGNIFICANT,
        ("paraphrase",),
        rules.paraphrase,
    ),
    Claim(
        "top-k",
        "Section 5.1, Figures 3b and 8",
        "Accuracy rises not only at the first answer but among the ten most probable too.",
        "Whether the first token of the answer is among the ten most probable. " + SIGNIFICANT,
        ("topk",),
        rules.top_ten,
    ),
    Claim(
        "rare-facts",
        "Section 5.1.1, Figure 3c",
        "Facts that are rare in the training corpus gain most: more answers are corrected, relative to those that were "
        "right before, where the corpus has few documents on the fact.",
        "Ratios of corrected to originally right answers in the rarest and the commonest bin. Supported: the rarest "
        "bin's is larger and the two 95 % intervals do not overlap. Contradicted: smaller, and they do not. "
        "Undecided: otherwise, or no answer was right before in one of them.",
        ("fig3c",),
        pictures.rare_facts,
    ),
    Claim(
        "higher-order",
        "Section 5.1.2, Figure 5",
        "On answers that LASER repairs, the higher-order components alone give wrong answers.",
        "At the smallest share of components that was kept, on rows that base has wrong and LASER right. Supported: "
        "the 95 % interval of accuracy lies below 50 %. Contradicted: above. Undecided: otherwise.",
        ("fig5b",),
        pictures.higher_order,
    ),
    Claim(
        "composition",
        "Section 5.1, Figure 4",
        "Reducing several layers together gains more than the best single reduction.",
        "Accuracy of the composition against the best single intervention. " + SIGNIFICANT,
        ("compose",),
        rules.composition,
    ),
    Claim(
        "perplexity",
        "Section 5.1, C.4",
        "Perplexity on running text rises only a little.",
        "Supported: the 95 % interval of the perplexity over base's lies below the largest ratio that the paper "
        "prints, rounding allowed for. Contradicted: above it. Undecided: otherwise.",
        ("perplexity",),
        rules.perplexity,
    ),
    Claim(
        "effective-rank",
        "Figure 7",
        "The effective rank of MLP matrices is lower in later layers.",
        "Mean effective rank over the layers before and beyond the middle. Supported: lower beyond. Contradicted: "
        "higher.",
        ("fig7",),
        pictures.effective_rank,
    ),
    Claim(
        "pruning",
        "Figure 10",
        "Setting the smallest weights to zero shows the same pattern as rank reduction.",
        "Per MLP matrix, Spearman's correlation over layers between the lowest losses that the two reach. Supported: "
        "above 0.5. Contradicted: below 0. Undecided: between, or fewer than four layers.",
        ("fig2", "fig10"),
        pictures.pruning,
    ),
)

QUESTIONS: tuple[Claim, ...] = (
    Claim(
        "selection",
        "ours",
        "The gain survives when the act of choosing is counted in.",
        "Bootstrap over validation groups, chosen in bag and scored out of bag. Supported: the 95 % of the out-of-bag "
        "gains lie above 0. Contradicted: below 0. Undecided: otherwise.",
        ("stability",),
        rules.selection,
    ),
    Claim(
        "held-out-phrasings",
        "ours",
        "The gain holds for phrasings that the model was never trained on, where that is known.",
        "Rows in phrasings held out of the training corpus. " + SIGNIFICANT,
        ("paraphrase",),
        rules.held_out,
    ),
    Claim(
        "seeds",
        "ours",
        "The printed LASER number lies within the spread of the randomised SVD over seeds.",
        "At the printed choice, on whole datasets. Supported: the printed number lies within two standard deviations "
        "of the mean over seeds. Contradicted: it does not.",
        ("seeds",),
        rules.seeds,
    ),
    Claim(
        "prompts",
        "ours",
        "The gain does not depend on the wording of the prompt.",
        "Supported: the gain is positive under every variant. Contradicted: it is positive under the original prompt "
        "and not under most variants. Undecided: otherwise, or base was chosen.",
        ("prompts",),
        rules.prompts,
    ),
    Claim(
        "cheap-search",
        "arXiv 2510.20800",
        "Ranking matrices by the gradients of their singular values finds as good a choice at a fraction of the cost.",
        "Supported: the cheap choice is not worse than the exhaustive one by more than a point (95 % interval of the "
        "difference above −1). Contradicted: it is worse with a paired p value below 0.05. Undecided: otherwise.",
        ("search",),
        rules.cheap_search,
    ),
    Claim(
        "saving",
        "ours",
        "The factors of the chosen reduction take less room than the matrix.",
        "Supported: k(m + n) < mn at the kept rank k. Contradicted: not. Undecided: base was chosen.",
        ("size",),
        rules.saving,
    ),
    Claim(
        "noise",
        "ours, after section 5.1",
        "LASER gains more the noisier the training corpus is.",
        "Per family and depth, trained models of one seed each. Supported: Spearman's correlation of gain with noise "
        "level is positive with p below 0.05. Contradicted: negative with such a p. Undecided: otherwise.",
        ("noise",),
        pictures.noise,
    ),
)
"""Questions that the paper leaves open, or that others raise, in the same form."""
