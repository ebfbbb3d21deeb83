"""Colours of a figure on a dark page, kept in the same SVG.

A style rule in the file takes effect if the page that shows it, or the system, prefers dark colours. Viewers that do
not support such rules draw the light colours, which are unchanged.
"""

from __future__ import annotations

import re

GROUND, TEXT = "#14161a", "#e7e9ed"
"""Replacements for white and black: the report's own colours (report/templates/style.css)."""
BLACK, WHITE = "#000001", "#fffffe"
"""Colours for marks on a picture whose colours do not change: they are the same on every page."""
HIGHEST, LOWEST = 1.0, 0.3
"""Positions on the colour map to which its darkest and its palest colour move. The order is reversed, so that what
stands out most on white also does on a dark background, and the palest colour remains visible."""
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def with_dark_colours(svg: str) -> str:
    """Return an SVG with a style for dark pages; return it unchanged if it already has one.

    Args:
        svg: SVG as matplotlib writes it: colours are in `style` and `fill`, and text without a colour is black.
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
    """Return the replacement for a colour on a dark page.

    Greys become greys between `TEXT` and `GROUND`, and colours of the figures' colour map become other colours of the
    map. Any other colour has a meaning of its own and is kept, as are `BLACK` and `WHITE`.

    Args:
        colour: `#rrggbb` in lower case.
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
