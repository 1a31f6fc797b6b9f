"""The coloured text of Figure 9: one renderer for the dashboard and for notebooks.

`renderer.js` has `render({data, parentElement, setStateValue})` without an export, which is added
where it is used. Token text is untrusted: the renderer makes text nodes of it and never HTML.
"""

from pathlib import Path
from typing import Any

from csvcore.figures.scales import HUES, LEVELS, Scale

MIDDLE = (LEVELS - 1) // 2  # the shade whose value a logarithmic legend tells
LONGEST = 2000  # characters of a token that are shown
_HERE = Path(__file__).parent
MARKUP, STYLE, RENDERER, WIDGET = (
    (_HERE / name).read_text(encoding="utf-8")
    for name in ("renderer.html", "renderer.css", "renderer.js", "widget.js")
)


def short(text: str) -> str:
    """Cut a token's text to LONGEST characters."""
    cut = len(text) - LONGEST
    return text if cut <= 0 else f"{text[:LONGEST]}… ({cut:,} more characters)"


def scale_data(scale: Scale) -> dict[str, Any]:
    """Return a scale as the renderer takes it."""
    return {
        "name": scale.name,
        "unit": scale.words,
        "top": scale.top,
        "middle": None if scale.knee is None else scale.value_at(MIDDLE),
        "steps": LEVELS,
        "half": MIDDLE,
        "hue": list(HUES[scale.hue]),
        "low_hue": None if scale.low_hue is None else list(HUES[scale.low_hue]),
    }
