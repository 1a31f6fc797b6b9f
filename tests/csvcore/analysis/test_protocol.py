import pytest

from csvcore.analysis.protocol import QUANTISED, confounds
from csvcore.records import LossSettings, ModelCard

CARDS = [ModelCard(f"{family}{i}", family) for family in "AB" for i in (1, 2)]


def settings(**values: tuple[str | None, ...]) -> dict[str, LossSettings]:
    rows = zip(*values.values(), strict=True)
    return {
        card.model: LossSettings(**dict(zip(values, row, strict=True)))
        for card, row in zip(CARDS, rows, strict=True)
    }


def test_settings_that_are_equal_or_unknown_confound_nothing() -> None:
    assert confounds(CARDS, {}) == ()
    assert confounds(CARDS, settings(context=("whole",) * 4, dtype=("float32",) * 4)) == ()
    assert confounds(CARDS, settings(context=("whole", None, None, None))) == ()


def test_families_of_different_contexts_are_not_comparable() -> None:
    [found] = confounds(CARDS, settings(context=("story", "story", "sentence", "sentence")))
    assert (found.setting, found.separates, found.severe) == ("context", True, True)
    assert found.values == {"story": ("A",), "sentence": ("B",)}
    assert found.sentence == (
        "Families differ in context, so their losses are not comparable (story: A; sentence: B)."
    )


def test_families_that_share_a_setting_are_comparable_by_it() -> None:
    [found] = confounds(CARDS, settings(context=("512", "whole", "whole", "whole")))
    assert (found.separates, found.severe) == (False, False)
    assert "every two families share a value" in found.sentence


def test_the_prefix_and_the_kind_of_floats_are_told_and_not_severe() -> None:
    dtypes = ("bfloat16", "bfloat16", "float32", "float32")
    found = confounds(CARDS, settings(prefix=("bos", "bos", "eos", "eos"), dtype=dtypes))
    assert [(one.setting, one.separates, one.severe) for one in found] == [
        ("prefix", True, False),
        ("dtype", True, False),
    ]


def test_quantisation_is_read_from_the_dtype_and_from_the_stage() -> None:
    [severe, mild] = confounds(CARDS, settings(dtype=("float32", "float32", "int8", "int8")))
    assert (severe.setting, severe.severe, mild.setting) == ("quantisation", True, "dtype")
    staged = [
        ModelCard(f"m{i}", family, stage=stage)
        for i, (family, stage) in enumerate([("A", "full"), ("A", "4bit"), ("B", "full")])
    ]
    [found] = confounds(staged, {})
    assert found.values == {"none": ("A", "B"), "4bit": ("A",)}
    assert not found.severe


@pytest.mark.parametrize(
    ("text", "quantised"),
    [("4bit", True), ("8-bit", True), ("int8", True), ("nf4", True), ("Q4_K_M", True),
     ("gptq", True), ("float32", False), ("bfloat16", False), ("16bit", False), ("base", False),
     ("fp16", False), ("stable", False)],
)  # fmt: skip
def test_names_of_quantisation(text: str, quantised: bool) -> None:
    assert bool(QUANTISED.search(text)) == quantised
