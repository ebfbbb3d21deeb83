"""How the report shows each table: views of its long form, and the name that a reader knows the artefact by."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from laser.artefacts.compose import compose_views
from laser.artefacts.fig5c import fig5c_views
from laser.artefacts.paraphrase import paraphrase_views
from laser.artefacts.perplexity import perplexity_views
from laser.artefacts.prompts import prompts_views
from laser.artefacts.search import search_views
from laser.artefacts.seeds import seeds_views
from laser.artefacts.size import size_views
from laser.artefacts.stability import stability_views
from laser.artefacts.table1 import table1_views
from laser.artefacts.table2 import table2_views
from laser.artefacts.table3 import table3_views
from laser.artefacts.table4 import table4_views
from laser.artefacts.table5 import table5_views
from laser.artefacts.topk import topk_views
from laser.paper.published import read_published
from laser.report.summary import prediction_view, verdict_views

if TYPE_CHECKING:
    import pandas

    from laser.analysis.tables import View

VIEWS: dict[str, Callable[[pandas.DataFrame], list[View]]] = {
    "table1": lambda frame: [*table1_views(frame), prediction_view(frame)],
    "table2": table2_views,
    "table3": table3_views,
    "table4": table4_views,
    "table5": lambda frame: table5_views(frame, read_published()),
    "verdicts": verdict_views,
    "paraphrase": paraphrase_views,
    "topk": topk_views,
    "compose": compose_views,
    "perplexity": perplexity_views,
    "seeds": seeds_views,
    "prompts": prompts_views,
    "stability": stability_views,
    "search": search_views,
    "size": size_views,
    "fig5c": fig5c_views,
}


TITLES = {
    "compose": "Composition over layers",
    "film": "A room played by base and LASER",
    "noise": "Noise and depth of models whose corpus is known",
    "paraphrase": "All phrasings of a fact",
    "perplexity": "Perplexity",
    "prompts": "Other prompts",
    "search": "Gradient search beside the exhaustive one",
    "seeds": "Seeds of the randomised decomposition",
    "size": "What factors save",
    "smallest": "Only the smallest components",
    "solved": "Rooms solved, by boxes and length of the path",
    "stability": "How stable selection is",
    "topk": "Top 1, 5 and 10",
    "verdicts": "Verdicts on the published numbers",
}


def artefact_title(artefact: str) -> str:
    """Return what a reader calls an artefact: Figure 3b, Table 1, Perplexity."""
    found = re.fullmatch(r"(fig|table)(\d+)([abc]?)", artefact)
    if found is None:
        return TITLES.get(artefact, artefact.capitalize())
    return f"{'Figure' if found[1] == 'fig' else 'Table'} {found[2]}{found[3]}"
