"""Laws of the records of jobs: JSON there and back, and queues of older versions."""

import json

import pytest

from csvcore.errors import InputError
from csvcore.jobs.specs import (
    KINDS,
    CapabilitiesJob,
    CollectJob,
    CompareJob,
    ExamineJob,
    FitJob,
    ImportJob,
    LeaveOutJob,
    MixesJob,
    Spec,
    from_json,
    to_json,
)

SPECS: list[tuple[Spec, str]] = [
    (
        FitJob("words", "sides", ("adding",), ("csv", "all-token"), {"seed": 1}),
        "CSV, All tokens on adding",
    ),
    (CompareJob("words", "sides", ("adding", "reading")), "All methods on adding, reading"),
    (CompareJob("words", "sides", ("adding",), 99), "99 permutations of adding"),
    (LeaveOutJob("words", ("adding",)), "Leave one family out, on adding"),
    (CollectJob("words", ("/models/ant", "bee"), {"dtype": "float16"}), "Losses of ant, bee"),
    (MixesJob(("words", "prose"), "sides", "adding", 100), "Mixes of words, prose for adding"),
    (CapabilitiesJob("words", "sides", (), {"few_shot": 3}), "Capabilities of all tasks"),
    (ImportJob("words", "pack.parquet", "/tmp/x.parquet"), "Import of pack.parquet"),
    (
        ExamineJob("models", "models.csv", "/tmp/x/models.csv", {"replace": True}),
        "Look at models.csv",
    ),
    (ImportJob("words", "items.parquet", "/tmp/x.parquet", "items"), "Import of items.parquet"),
]


@pytest.mark.parametrize(("spec", "title"), SPECS)
def test_a_job_comes_back_from_its_json_and_has_a_title(spec: Spec, title: str) -> None:
    assert from_json(spec.kind, json.loads(json.dumps(to_json(spec)))) == spec
    assert spec.title == title


def test_every_kind_of_job_is_tried_here() -> None:
    assert {type(spec) for spec, _ in SPECS} == set(KINDS.values())


def test_parameters_at_their_defaults_are_not_stored() -> None:
    assert to_json(LeaveOutJob("words", ("adding",))) == {"corpus": "words", "tasks": ["adding"]}


def test_a_fit_job_of_an_older_version_has_one_method() -> None:
    params = {"corpus": "words", "split": "sides", "tasks": ["adding"], "method": "csv"}
    assert from_json("fit", params) == FitJob("words", "sides", ("adding",), ("csv",))


def test_a_job_of_an_unknown_kind_or_without_a_parameter_is_refused() -> None:
    with pytest.raises(InputError, match=r"a job is a fit, compare, .* or import, got 'dance'"):
        from_json("dance", {})
    with pytest.raises(InputError, match="a leave-out job needs tasks; it has corpus"):
        from_json("leave-out", {"corpus": "words"})
