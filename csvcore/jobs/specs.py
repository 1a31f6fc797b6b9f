"""One record for each kind of job in the queue, with its JSON and its title."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from csvcore.errors import InputError
from csvcore.methods import label

Settings = Mapping[str, Any]  # the fields of a configuration that differ from its defaults


@dataclass(frozen=True, slots=True)
class FitJob:
    """Fits of some methods on some tasks; config: of `fitting.config.FitConfig`."""

    kind: ClassVar[str] = "fit"

    corpus: str
    split: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        names = ", ".join(label(method) for method in self.methods)
        return f"{names} on {', '.join(self.tasks)}"


@dataclass(frozen=True, slots=True)
class CompareJob:
    """Fits of all methods on some tasks, and a permutation test where permutations is not 0."""

    kind: ClassVar[str] = "compare"

    corpus: str
    split: str
    tasks: tuple[str, ...]
    permutations: int = 0
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        if self.permutations:
            return f"{self.permutations} permutations of {', '.join(self.tasks)}"
        return f"All methods on {', '.join(self.tasks)}"


@dataclass(frozen=True, slots=True)
class LeaveOutJob:
    """Fits of all methods on some tasks with each family left out in turn."""

    kind: ClassVar[str] = "leave-out"

    corpus: str
    tasks: tuple[str, ...]
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Leave one family out, on {', '.join(self.tasks)}"


@dataclass(frozen=True, slots=True)
class CollectJob:
    """Collection of losses of some models (folders); config: `pipeline.collect.CollectConfig`."""

    kind: ClassVar[str] = "collect"

    corpus: str
    models: tuple[str, ...]
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Losses of {', '.join(Path(folder).name for folder in self.models)}"


@dataclass(frozen=True, slots=True)
class MixesJob:
    """A search for mixes of the sources of some corpora; budget_tokens: size of every mix."""

    kind: ClassVar[str] = "mixes"

    corpora: tuple[str, ...]
    split: str
    task: str
    budget_tokens: int | None = None
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Mixes of {', '.join(self.corpora)} for {self.task}"


@dataclass(frozen=True, slots=True)
class CapabilitiesJob:
    """Factors that tasks share; no tasks stand for all. settings: of `CapabilityConfig`."""

    kind: ClassVar[str] = "capabilities"

    corpus: str
    split: str
    tasks: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict)
    config: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Capabilities of {', '.join(self.tasks) or 'all tasks'}"


CONTENTS = ("corpus", "models", "tasks", "accuracies", "split", "losses", "items")


@dataclass(frozen=True, slots=True)
class ExamineJob:
    """Look at an uploaded file: what would its import change?

    content: one of CONTENTS. name, file: see `ImportJob`. settings: `name` to store a corpus or
    split by, `corpus` of a pack without a manifest, `form`, `metrics`, `tasks` and `chances` of
    accuracies as their command has them, `replace` what is stored with other values.
    """

    kind: ClassVar[str] = "examine"

    content: str
    name: str
    file: str
    settings: Settings = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Look at {self.name}"


@dataclass(frozen=True, slots=True)
class ImportJob:
    """Import of a file, with all that waits for it deleted afterwards.

    corpus: empty, but in jobs of older versions. name: the original name of the file. file: its
    copy. content: one of CONTENTS. settings: see `ExamineJob`. expected: fingerprint of the changes
    that were listed; nothing is imported if there would be others.
    """

    kind: ClassVar[str] = "import"

    corpus: str
    name: str
    file: str
    content: str = "losses"
    settings: Settings = field(default_factory=dict)
    expected: str = ""

    @property
    def title(self) -> str:
        """Return the job's title, for a list of jobs."""
        return f"Import of {self.name}"


Spec = (
    FitJob
    | CompareJob
    | LeaveOutJob
    | CollectJob
    | MixesJob
    | CapabilitiesJob
    | ExamineJob
    | ImportJob
)
KINDS: dict[str, type[Spec]] = {
    spec.kind: spec
    for spec in (
        FitJob,
        CompareJob,
        LeaveOutJob,
        CollectJob,
        MixesJob,
        CapabilitiesJob,
        ExamineJob,
        ImportJob,
    )
}


def to_json(spec: Spec) -> dict[str, Any]:
    """Return the parameters of a job as JSON, without those at their defaults."""
    params = {entry.name: (getattr(spec, entry.name), _default(entry)) for entry in fields(spec)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, (value, default) in params.items()
        if value != default
    }


def from_json(kind: str, params: Mapping[str, Any]) -> Spec:
    """Return the job of a kind from its parameters, including those of older versions.

    Raises:
        InputError: there is no such kind of job, or a parameter is missing.
    """
    if kind not in KINDS:
        *others, last = KINDS
        raise InputError(
            f"a job is a {', '.join(others)} or {last}, got {kind!r}; another version queued it, "
            "so start it there, or stop the dashboard and delete the list of jobs"
        )
    if "method" in params and "methods" not in params:  # fits of older versions have one method
        params = {**params, "methods": [params["method"]]}
    spec = KINDS[kind]
    values: dict[str, Any] = {}
    for entry in fields(spec):
        if entry.name in params:
            value = params[entry.name]
            values[entry.name] = tuple(value) if isinstance(value, list) else value
        elif _default(entry) is MISSING:
            raise InputError(
                f"a {kind} job needs {entry.name}; it has {', '.join(params) or 'none'}"
            )
    return spec(**values)


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()
