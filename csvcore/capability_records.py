"""Records of the factors that tasks share, as the database holds them and pages show them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TriedFactors:
    """A number of factors that was tried.

    tie: how closely loadings keep to the tasks' own heads, None for entirely. refined: after joint
    steps on all factors. cv_error: root mean squared error on left-out models, its geometric mean
    over tasks, as a fraction.
    """

    n_factors: int
    tie: float | None
    refined: bool
    cv_error: float


@dataclass(frozen=True, slots=True)
class TaskFactors:
    """A task on the factors.

    loading: on every factor, not negative, in logits for a standard deviation of its scores.
    share: loadings as shares of their sum. cv_shared, cv_separate: root mean squared errors on
    left-out models by factors and by the task's own head, averaged over what was left out.
    test_shared, test_separate: mean squared errors on test models, None where there are none or
    they are hidden.
    """

    task: str
    loading: tuple[float, ...]
    share: tuple[float, ...]
    cv_shared: float
    cv_separate: float
    test_shared: float | None
    test_separate: float | None
    n_test: int


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor.

    anchor: the task whose own head it began as. stability: mean cosine of its token weights with
    those made without each group of train models. p_value: of the permutation control, the share
    of shuffles whose error on the train models is as low; None where none was asked for.
    """

    number: int
    anchor: str
    stability: float | None
    p_value: float | None
    n_permutations: int

    @property
    def shown(self) -> bool:
        """Return False for a factor that shuffled accuracies give as often."""
        return self.p_value is None or self.p_value <= 0.05


@dataclass(frozen=True, slots=True)
class Profile:
    """A model on the factors: standardised scores with 90 % intervals; lower is better.

    The intervals are of a jackknife over the groups of train models left out.
    """

    model: str
    side: str
    score: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FewShot:
    """A task with few train models known: geometric mean over draws of mean squared errors.

    shared borrows the heads of the other tasks, separate is the task's own head. side: of the
    models that are predicted. way: how the factors were used, by draw.
    """

    task: str
    n_known: int
    n_draws: int
    side: str
    shared: float | None
    separate: float | None
    way: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The factors that the tasks of a corpus and a split share.

    judges: names of what was left out to choose their number. left_out: tasks that could not be
    used.
    """

    corpus: str
    split: str
    factors: tuple[Factor, ...]
    tasks: tuple[TaskFactors, ...]
    profiles: tuple[Profile, ...]
    tried: tuple[TriedFactors, ...]
    few_shot: tuple[FewShot, ...]
    judges: tuple[str, ...]
    config: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Capabilities":
        """Return the record of what `to_json` gave."""
        kinds: dict[str, type[Any]] = {
            "factors": Factor,
            "tasks": TaskFactors,
            "profiles": Profile,
            "tried": TriedFactors,
            "few_shot": FewShot,
        }
        parts = {name: tuple(map(_part(kind), record[name])) for name, kind in kinds.items()}
        return cls(
            corpus=record["corpus"],
            split=record["split"],
            judges=tuple(record["judges"]),
            config=record["config"],
            **parts,
        )


def _part(kind: type[Any]) -> Any:
    """Return a function that makes a record of this kind; lists become tuples."""

    def make(values: Mapping[str, Any]) -> Any:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    return make
