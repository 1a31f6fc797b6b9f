"""Colour scales of token values, for the dashboard and for files."""

from dataclasses import dataclass

import numpy as np

from csvcore.records import Floats, Ints

LEVELS = 10  # shades from nothing to the top, on each side of zero
TOP_SHARE = 0.995  # of the values lies below the fullest colour
HEAVY = 8.0  # times the mean at the fullest colour: above it the shades are logarithmic
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
    knee: None for shades in proportion to the values; else they follow log(1 + value / knee), so
    that values many times the mean leave the others their colour.
    """

    name: str
    unit: str
    top: float
    hue: str = "green"
    low_hue: str | None = None
    knee: float | None = None

    def levels(self, values: Floats) -> Ints:
        """Return the shade of each value, up to LEVELS - 1; negative below the centre."""
        if not self.top > 0:
            return np.zeros(values.shape, dtype=np.int64)
        clipped = np.clip(values, 0.0 if self.low_hue is None else -self.top, self.top)
        if self.knee is None:
            share = clipped / self.top
        else:
            share = np.sign(clipped) * np.log1p(np.abs(clipped) / self.knee)
            share /= np.log1p(self.top / self.knee)
        return np.rint(share * (LEVELS - 1)).astype(np.int64)

    def value_at(self, level: int) -> float:
        """Return the value in the middle of a shade, 0 to LEVELS - 1."""
        share = level / (LEVELS - 1)
        if self.knee is None:
            return share * self.top
        return self.knee * float(np.expm1(share * np.log1p(self.top / self.knee)))

    @property
    def words(self) -> str:
        """The unit, and that the shades are logarithmic where they are."""
        return self.unit if self.knee is None else f"{self.unit}, logarithmic shades"


def fitted(values: Floats) -> tuple[float, float | None]:
    """Return top and knee of a scale on which a few large values dim no other.

    The top is a high quantile of the absolute values and never the largest value alone. Where it is
    more than HEAVY times their mean, the knee is that mean, with the values clipped at the top.

    Args:
        values: (n,) of any sign, at least one.
    """
    size = np.abs(values)
    top = float(np.quantile(size, TOP_SHARE, method="lower"))
    if top == 0.0 and size.any():  # few tokens have a value at all: those set the scale
        top = float(np.quantile(size[size > 0.0], TOP_SHARE, method="lower"))
    mean = float(np.minimum(size, top).mean())
    return top, mean if 0.0 < mean < top / HEAVY else None


def weight_scale(weight: Floats) -> Scale:
    """Return the scale of the paper's Figure 9: stronger colour = larger weight.

    Args:
        weight: (n_tokens,) salience; where some is negative the scale is centred on zero.
    """
    top, knee = fitted(weight)
    hue, low_hue = ("orange", "blue") if weight.min() < 0.0 else ("green", None)
    return Scale("weight", "1 is the mean over the corpus", top, hue, low_hue, knee)
