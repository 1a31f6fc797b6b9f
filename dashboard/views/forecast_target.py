"""The model to forecast: families to take, and its parameters and training tokens."""

import numpy as np
import streamlit as st

from csvcore.forecasting.known import Known
from csvcore.forecasting.ladder import sizes
from dashboard.queries.forecast import Size
from dashboard.widgets import address, state

STEPS = 13  # of a slider for each factor of ten
LARGER = 1000.0  # times the largest trained model
FIRST_SIZE, FIRST_TOKENS = 2.0, 1.0  # times the largest, where the sliders stand at first
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


def choose_families(trained: Known, task: str) -> tuple[str, ...]:
    """Choose families; the one whose accuracy rises most is the default, none stands for all."""
    named = trained.families()
    rise = {name: np.ptp([0.0, *trained.observed(name, task)]) for name in named}
    families = address.choose(
        st.multiselect,
        "Families",
        named,
        default=[max(named, key=lambda name: rise[name])],
        key=state.FORECAST_FAMILIES,
        help="Sets the models that the forecast is made from; none means all families.",
    )
    return tuple(families or named)


def choose_size(trained: Known, families: tuple[str, ...]) -> Size:
    """Choose parameters and training tokens by sliders that begin among those of the families."""
    cards = [card for card in trained.cards if card.family in families]
    n_params = sizes(np.array([card.n_params or 1 for card in cards], dtype=float))
    tokens = sorted({card.train_tokens or 1 for card in cards})
    left, right = st.columns(2)
    return Size(
        _slider(left, "Parameters", n_params[0], n_params[-1], FIRST_SIZE, state.FORECAST_SIZE),
        _slider(right, "Training tokens", tokens[0], tokens[-1], FIRST_TOKENS,
                state.FORECAST_TOKENS),
    )  # fmt: skip


def rounded(value: float) -> float:
    """Return a number with two digits, as sliders have them."""
    return float(f"{value:.1e}")


def short_number(value: float) -> str:
    """Return a number as 1.3B."""
    unit = next(((size, name) for size, name in UNITS if value >= size), (1.0, ""))
    return f"{value / unit[0]:.3g}{unit[1]}"


def _slider(
    column: "st.delta_generator.DeltaGenerator",
    title: str,
    least: float,
    most: float,
    first: float,
    key: state.Key[float],
) -> float:
    """Draw a slider of two-digit numbers, evenly spread in the logarithm."""
    n = max(2, round(STEPS * np.log10(most * LARGER / least)))
    values = sorted({rounded(value) for value in np.geomspace(least, most * LARGER, n)})
    start = min(values, key=lambda value: abs(np.log(value / (first * most))))
    chosen = address.choose(
        column.select_slider, title, values, value=start, format_func=short_number, key=key,
        help=f"Sets the {title.lower()} of the model; the largest trained one has "
        f"{short_number(most)}.",
    )  # fmt: skip
    return float(chosen)
