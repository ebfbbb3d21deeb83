"""The colours that a figure has on a dark page, kept in the same SVG.

A rule in the file takes effect where the page that shows it, or the system, prefers dark colours. What does not know
such rules draws the light colours, which stay as they are.
"""

from __future__ import annotations

import re

GROUND, TEXT = "#14161a", "#e7e9ed"
"""What white and black become: the report's own colours (report/templates/style.css)."""
BLACK, WHITE = "#000001", "#fffffe"
"""For marks on a picture whose own colours stay: what is drawn in them has the same colour on every page."""
HIGHEST, LOWEST = 1.0, 0.3
"""Positions on the colour map that its darkest and its palest colour take: the order is turned round, so that what
stands out most on white does so on a dark ground, and the last of them can still be seen."""
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def with_dark_colours(svg: str) -> str:
    """Return an SVG with a style for dark pages; one that has such a style already is returned as it is.

    Args:
        svg: as matplotlib writes it: colours stand in `style` and `fill`, and text without a colour is black.
    """
    if "prefers-color-scheme" in svg:
        return svg
    rules = [f"svg{{fill:{TEXT}}}"]
    for colour in sorted(set(_COLOUR.findall(svg))):
        dark = dark_colour(colour)
        if dark != colour:
            rules += [
                f'[style*="{what}: {colour}"],[{what}="{colour}"]{{{what}:{dark}!important}}'
                for what in ("fill", "stroke", "stop-color")
                if f"{what}: {colour}" in svg or f'{what}="{colour}"' in svg
            ]
    style = "\n".join(["<style>@media (prefers-color-scheme:dark){", *rules, "}</style>"])
    before, end, after = svg.rpartition("</svg>")
    return f"{before}{style}\n{end}{after}"


def dark_colour(colour: str) -> str:
    """Return what a colour becomes on a dark page.

    Greys become greys between `TEXT` and `GROUND`, and colours of the figures' colour map others of the map. Any other
    colour, which stands for a thing of its own, stays; so do `BLACK` and `WHITE`.

    Args:
        colour: `#rrggbb` in small letters.
    """
    parts = _parts(colour)
    if len(set(parts)) == 1:
        mixed = [round(text + (ground - text) * parts[0] / 255) for text, ground in zip(*ENDS, strict=True)]
        return "#" + bytes(mixed).hex()
    from cmcrameri import cm
    from matplotlib.colors import to_hex

    known = [to_hex(cm.batlow(number)) for number in range(cm.batlow.N)]
    if colour not in known:
        return colour
    position = known.index(colour) / (cm.batlow.N - 1)
    return to_hex(cm.batlow(HIGHEST - (HIGHEST - LOWEST) * position))


def _parts(colour: str) -> bytes:
    return bytes.fromhex(colour[1:])


ENDS = _parts(TEXT), _parts(GROUND)
