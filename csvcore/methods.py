"""The registry of methods: one entry for each method and trivial baseline.

A new baseline is an entry in METHODS and one function of the same name: its weights in
`fitting.baselines`, or the predictions of a trivial baseline in `analysis.trivial_baselines`.
Commands, fits, comparisons, figures, reports and pages read the registry, in its order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from csvcore.errors import InputError
from csvcore.records import Document, Task

Kind = Literal["learnt", "weights", "trivial"]
LONGEST = 32  # characters of a name that a figure has room for


def always(docs: Sequence[Document], task: Task) -> bool:
    """Return True: the method needs nothing of the corpus."""
    return True


def has_answers(docs: Sequence[Document], task: Task) -> bool:
    """Return whether a document of the task's sources has answer spans; of any, if it has none."""
    return any(doc.answers for doc in docs if not task.sources or doc.source in task.sources)


def has_task_sources(docs: Sequence[Document], task: Task) -> bool:
    """Return whether the corpus has a document of a source that the task names."""
    return any(doc.source in task.sources for doc in docs)


def has_several_sources(docs: Sequence[Document], task: Task) -> bool:
    """Return whether the corpus has more than one source."""
    return len({doc.source for doc in docs}) > 1


@dataclass(frozen=True, slots=True)
class Method:
    """A way to predict accuracy.

    name: on the command line and in the database. label: for people. kind: token weights that are
    learnt, token weights that are given, or a trivial baseline, which sees no loss. needs: tells
    whether a corpus has what the method needs for a task. settings: names of the `FitConfig`
    settings that bear on given weights, beside those of the units. fine: weighs the tokens of one
    document differently, so losses of coarser units blur it. chosen_on_validation: chosen by the
    errors on validation models, so these cannot evaluate it. oracle: knows the accuracies that it
    is evaluated on.
    """

    name: str
    label: str
    kind: Kind
    needs: Callable[[Sequence[Document], Task], bool] = always
    settings: tuple[str, ...] = ()
    fine: bool = False
    chosen_on_validation: bool = False
    oracle: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("csv", "CSV", "learnt", fine=True),
        Method("all-token", "All tokens", "weights"),
        Method(
            "label-token",
            "Label tokens",
            "weights",
            needs=has_answers,
            settings=("label", "label_spans"),
            fine=True,
        ),
        Method("source-token", "Tokens of the task's source", "weights", needs=has_task_sources),
        Method(
            "best-source",
            "Best single source",
            "weights",
            needs=has_several_sources,
            chosen_on_validation=True,
        ),
        Method("train-mean", "Mean of the train models", "trivial"),
        Method("sibling", "Nearest checkpoint or smaller sibling", "trivial"),
        Method("compute", "Training compute", "trivial"),
        Method("best-constant", "Best constant (knows the test)", "trivial", oracle=True),
    )
}


def label(name: str) -> str:
    """Return a method's name for people."""
    return METHODS[name].label


def weighted() -> list[str]:
    """Return the names of the methods that weigh tokens; these can be fitted."""
    return [name for name, method in METHODS.items() if method.kind != "trivial"]


def trivial() -> list[str]:
    """Return the names of the trivial baselines."""
    return [name for name, method in METHODS.items() if method.kind == "trivial"]


def weighted_method(name: str) -> Method:
    """Return a method that can be fitted.

    Raises:
        InputError: there is none of this name.
    """
    if name not in weighted():
        raise InputError(f"method must be one of {', '.join(weighted())}, got {name!r}")
    return METHODS[name]


def shortened(name: str) -> str:
    """Return a name with its middle left out where a figure has no room for it."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST // 2]}\u2026{name[1 - LONGEST // 2 :]}"
