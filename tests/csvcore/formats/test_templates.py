"""Templates that make a row of data a text with marked answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.formats.corpora import templates


def test_a_template_fills_fields_and_marks_answers() -> None:
    row = {"q": "2 {x}?", "choices": ["1", "4"], "label": "1", "n": 1}
    found = templates.render("{{Q}} {q} [[{n|letter}]]. [[{choices[label]}]] or {choices[0]}", row)
    assert found.text == "{Q} 2 {x}? B. 4 or 1"
    assert [found.text[a:b] for a, b in found.answers] == ["B", "4"]


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_value_stands_in_the_text_as_it_is_whatever_it_is(question: str, answer: str) -> None:
    found = templates.render("{q}\n[[{a}]]", {"q": question, "a": answer})
    assert found.text == f"{question}\n{answer}"
    [(start, end)] = found.answers
    assert found.text[start:end] == answer


@pytest.mark.parametrize(
    ("template", "refusal"),
    [
        ("[[{a}", "never closes it"),
        ("{a}]]", r"a \]\] too many"),
        ("[[[[{a}]]]]", r"a \[\[ too many"),
        ("{a.b}", r"\{a\.b\} is none of"),
        ("{}", r"\{\} is none of"),
    ],
)
def test_a_template_that_cannot_be_read_is_refused(template: str, refusal: str) -> None:
    with pytest.raises(InputError, match=refusal):
        templates.check(template)


@pytest.mark.parametrize(
    ("template", "refusal"),
    [
        ("{b}", "it has no b, but a, n, choices, none"),
        ("{none}", "it has no none"),
        ("{choices[2]}", "choices has no entry 2"),
        ("{choices[a]}", "a must be a number to choose by, got 'x'"),
        ("{a[0]}", "a has no entry 0"),
        ("{n|letter}", "n is 26, and no letter"),
        ("{choices[1]}", r"choices\[1\] is empty"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(template: str, refusal: str) -> None:
    row = {"a": "x", "n": 26, "choices": ["c", ""], "none": None}
    with pytest.raises(InputError, match=refusal):
        templates.render(template, row)
