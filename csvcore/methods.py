"""The registry of methods: one entry for each method and trivial baseline.

A new method is an entry in METHODS and one function of the same name: its weights in
`fitting.baselines`, its score in `analysis.scores`, the predictions of a comparator in
`fitting.comparators` or those of a trivial baseline in `analysis.trivial_baselines`.
Commands, fits, comparisons, figures, reports and pages read the registry, in its order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from csvcore.errors import InputError
from csvcore.records import Document, Task

Kind = Literal["stack", "learnt", "weights", "given", "score", "comparator", "trivial"]
Reads = Literal["compute", "other tasks"]
LONGEST = 32  # characters of a name that a figure has room for
GIVEN = "given"  # the method of weights that the caller brings


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

    name: on the command line and in the database. label: for people. kind: the stack of simple
    scores; token weights that are learnt; token weights that follow from texts or losses; token
    weights that the caller brings; a score of the losses that is no weighted sum; a comparator,
    which predicts accuracies in another way; or a trivial baseline, which sees no loss. needs:
    tells whether a corpus has what the method needs for a task. settings: names of the
    `FitConfig` settings that affect a method that is not learnt, beside those of the units.
    fine: weighs the tokens of one document differently, so losses of coarser units blur it.
    from_accuracies: the weights depend on the train models' accuracies, so a group that is left
    out needs weights without it. reads: what it reads of the models beside losses and the
    task's accuracies: training compute from their cards, or their accuracies on the other
    tasks. chosen_on_validation: chosen by the errors on validation models, so these cannot
    evaluate it. oracle: knows the accuracies that it is evaluated on.
    """

    name: str
    label: str
    kind: Kind
    needs: Callable[[Sequence[Document], Task], bool] = always
    settings: tuple[str, ...] = ()
    fine: bool = False
    from_accuracies: bool = False
    reads: tuple[Reads, ...] = ()
    chosen_on_validation: bool = False
    oracle: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("stack", "Stack", "stack", reads=("compute",), chosen_on_validation=True),
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
        Method(
            "label-probability",
            "Probability of the answers",
            "score",
            needs=has_answers,
            fine=True,
        ),
        Method("source-token", "Tokens of the task's source", "weights", needs=has_task_sources),
        Method(
            "best-source",
            "Best single source",
            "weights",
            needs=has_several_sources,
            from_accuracies=True,
            chosen_on_validation=True,
        ),
        Method(
            "rank-token", "Tokens that rank models best", "weights", fine=True, from_accuracies=True
        ),
        Method(GIVEN, "Weights of your own", "given"),
        Method("loss-compute", "Loss and compute", "comparator", reads=("compute",)),
        Method("loss-quantiles", "Quantiles of the losses", "comparator"),
        Method("other-tasks", "Accuracies on other tasks", "comparator", reads=("other tasks",)),
        Method(
            "collaborative",
            "Matrix factorisation of accuracies",
            "comparator",
            reads=("compute", "other tasks"),
        ),
        Method("exponential", "Exponential law of the loss", "comparator"),
        Method("train-mean", "Mean of the train models", "trivial"),
        Method("sibling", "Nearest checkpoint or smaller sibling", "trivial"),
        Method("compute", "Training compute", "trivial"),
        Method("best-constant", "Best constant (knows the test)", "trivial", oracle=True),
    )
}


def label(name: str) -> str:
    """Return a method's name for people; a pull that the caller brings has only its own."""
    return METHODS[name].label if name in METHODS else name


def fitted() -> list[str]:
    """Return the names of the methods that a fit can be made of without more from the caller."""
    return [name for name, one in METHODS.items() if one.kind not in ("given", "trivial")]


def predicting() -> list[str]:
    """Return the names of the methods whose stored fits predict further models from losses."""
    return [name for name in fitted() if METHODS[name].kind != "comparator"]


def reading(what: Reads) -> list[str]:
    """Return the names of the methods that read this of the models."""
    return [name for name, method in METHODS.items() if what in method.reads]


def weighing() -> list[str]:
    """Return the names of the methods that give every token a weight."""
    return [name for name in fitted() if METHODS[name].kind in ("learnt", "weights")]


def trivial() -> list[str]:
    """Return the names of the trivial baselines."""
    return [name for name, method in METHODS.items() if method.kind == "trivial"]


def fitted_method(name: str) -> Method:
    """Return a method that can be fitted.

    Raises:
        InputError: there is none of this name.
    """
    if name not in fitted():
        raise InputError(f"method must be one of {', '.join(fitted())}, got {name!r}")
    return METHODS[name]


def shortened(name: str) -> str:
    """Return a name with its middle left out where a figure has no room for it."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST // 2]}\u2026{name[1 - LONGEST // 2 :]}"
