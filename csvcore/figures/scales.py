"""Colour scales of token values, for the dashboard and for files."""

from dataclasses import dataclass

import numpy as np

from csvcore.records import Floats, Ints

LEVELS = 10  # shades from nothing to the top, on each side of zero
# Full strength on a light and on a dark ground; text keeps a contrast of 5 : 1 on all of them.
HUES = {
    "green": ("#31a354", "#1b7837"),
    "violet": ("#b48ad6", "#6a3d9a"),
    "orange": ("#f0923b", "#a5520a"),
    "blue": ("#5b9bd5", "#2166ac"),
}


@dataclass(frozen=True, slots=True)
class Scale:
    """A colour scale of values.

    name: what they are. unit: of the values, in words. top: value of the fullest colour. hue: of
    HUES. low_hue: for values below zero where the scale is centred on it; without, they are blank.
    """

    name: str
    unit: str
    top: float
    hue: str = "green"
    low_hue: str | None = None

    def levels(self, values: Floats) -> Ints:
        """Return the shade of each value, up to LEVELS - 1; negative below the centre."""
        if not self.top > 0:
            return np.zeros(values.shape, dtype=np.int64)
        share = np.clip(values / self.top, 0.0 if self.low_hue is None else -1.0, 1.0)
        return np.rint(share * (LEVELS - 1)).astype(np.int64)


def weight_scale(top: float) -> Scale:
    """Return the scale of the paper's Figure 9: stronger colour = larger weight."""
    return Scale("weight", "1 is the mean over the corpus", top)
