"""Settings of a fit, checked when they are made."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from csvcore import methods
from csvcore.analysis.label_weights import Label, LabelSpans
from csvcore.errors import InputError
from csvcore.formats.bundled import ZOO
from csvcore.methods import GIVEN
from csvcore.optimise import (
    STRENGTHS,
    Activation,
    FastConfig,
)
from csvcore.optimise.gauss_newton import MAX_STEPS

Algorithm = Literal["fast", "paper"]
Refit = Literal["all", "train"]


PAPER_STEPS = 300  # section 4.1


CHOICES: dict[str, tuple[str | None, ...]] = {
    "algorithm": get_args(Algorithm),
    "activation": (None, *get_args(Activation)),
    "label": get_args(Label),
    "label_spans": get_args(LabelSpans),
    "refit": get_args(Refit),
}


LEAST = {"steps": 0, "learning_rate": 0, "seed": 0, "members": 1, "penalty": 0}


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Settings of a fit; each is a flag of `csvcore fit`. The scorer is a folder or hub name.

    algorithm: "fast" is `optimise.choose_heads`, "paper" is Algorithm 2. steps: of the paper's
    loop, or Gauss-Newton steps at one penalty; None for the usual number. learning_rate: the
    paper's loop alone. members: heads that tell the weights' spread. penalty: a fixed one in place
    of a chosen one. mask_first_token: leave out, for every model, the bytes that are the first
    token of any. own_units: weigh the units that the losses come in, such as words, not the
    scorer's tokens. label, label_spans: the variant of label-token. refit: "all" fits every law
    anew to train and validation models once all is chosen; "train" leaves it fitted to train.
    """

    algorithm: Algorithm = "fast"
    steps: int | None = None
    learning_rate: float = 1e-2
    seed: int = 0
    scorer: str = str(ZOO / "scorer")
    mask_first_token: bool = False
    own_units: bool = False
    activation: Activation | None = None
    members: int = 5
    penalty: float | None = None
    label: Label = "per-char"
    label_spans: LabelSpans = "all"
    refit: Refit = "all"

    def __post_init__(self) -> None:
        """Validate the settings.

        Raises:
            InputError: a setting is none of its choices, or out of its range.
        """
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                offered = ", ".join(repr(option) for option in choices if option is not None)
                raise InputError(f"{name} is one of {offered}, got {value!r}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value >= least):
                raise InputError(f"{name} is a number of at least {least:g}, got {value!r}")

    @property
    def n_steps(self) -> int:
        """Maximum steps of the paper's loop, or at one penalty of the fast fit."""
        if self.steps is not None:
            return self.steps
        return PAPER_STEPS if self.algorithm == "paper" else MAX_STEPS


def settings_of(method: str, config: FitConfig) -> dict[str, object]:
    """Return the settings that affect a method's result, and so its id.

    Raises:
        InputError: a method that cannot be fitted.
    """
    entry = methods.METHODS[method] if method == GIVEN else methods.fitted_method(method)
    settings = asdict(config) | {
        "scorer": Path(config.scorer).name,
        "steps": config.n_steps,
        "activation": fast_config(config).activation,
    }
    unused = {"label", "label_spans"}
    if entry.kind not in ("learnt", "stack"):
        common = {"scorer", "mask_first_token", "own_units", "refit"}
        unused = set(settings) - common - set(entry.settings)
    elif config.algorithm == "paper":
        unused |= {"members", "penalty", "activation"}
    else:
        unused |= {"learning_rate"}
    if not config.own_units:
        unused |= {"own_units"}  # so that fits from before there were any keep their ids
    if config.refit == "train":
        unused |= {"refit"}  # likewise
    return {name: value for name, value in settings.items() if name not in unused}


def fast_config(config: FitConfig) -> FastConfig:
    """Return the fast fit's part of the settings.

    Raises:
        InputError: the penalty is not a positive number.
    """
    if config.penalty is not None and not 0.0 < config.penalty < np.inf:
        raise InputError(f"a penalty is a positive number, got {config.penalty}")
    return FastConfig(
        strengths=STRENGTHS if config.penalty is None else (config.penalty,),
        members=config.members,
        seed=config.seed,
        activation=config.activation or "exp",
        max_steps=config.n_steps,
    )
