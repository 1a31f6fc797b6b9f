"""Laws of weighted text as a page of its own."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from csvcore.figures import tokens
from csvcore.figures.scales import Scale, weight_scale

HOSTILE = '<script>x</script>"><img onerror=y>\u202eabc'


class Seen(HTMLParser):
    """The tags, and the text of the body."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.split("</head>")[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def page(text: str, ends: list[int], weight: list[float], top: float = 1.0) -> str:
    cells = tokens.cells(text, ends)
    return tokens.page(
        [("doc", cells.text, np.array(weight), None)], Scale("weight", "1 is the mean", top)
    )


def test_the_strongest_token_has_the_darkest_shade_and_none_the_lightest() -> None:
    found = page("abc", [1, 2, 3], [0.0, 1.0, 7.0])
    assert re.findall(r'class="l(\d)" title="weight ([\d.]+)">(.)<', found) == [
        ("0", "0.00", "a"),
        ("9", "1.00", "b"),
        ("9", "7.00", "c"),
    ]


def test_hostile_tokens_and_headings_stay_text() -> None:
    ends = list(range(1, len(HOSTILE.encode()) + 1))
    cells = tokens.cells(HOSTILE, ends)
    weight = np.zeros(len(cells.text))
    made = tokens.page([(HOSTILE, cells.text, weight, None)], Scale("weight", "", 1.0))
    seen = Seen(made)
    assert set(seen.tags) == {"body", "h2", "p", "span"}
    assert seen.text.count(HOSTILE) == 2


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    found = page("a b", [2, 3], [0.5, 0.5])
    assert not re.search(r"https?:|src=|@import|url\(", found)


@pytest.mark.parametrize("top", [0.0, -1.0])
def test_without_a_top_nothing_is_shaded(top: float) -> None:
    assert 'class="l0"' in page("a", [1], [3.0], top)


def test_a_centred_scale_tells_the_sides_of_zero_apart_by_colour_and_by_line() -> None:
    scale = Scale("difference", "nats", 2.0, "orange", "blue")
    assert scale.levels(np.array([-9.0, -2.0, -0.01, 0.0, 1.0, 2.0])).tolist() == [
        *(-9, -9, 0, 0, 4, 9),
    ]
    cells = tokens.cells("ab", [1, 2])
    values = np.array([-2.0, 2.0])
    made = tokens.page([("d", cells.text, values, np.array([True, False]))], scale, "unsure")
    assert '<span class="n9 h" title="difference -2.00">a</span>' in made
    assert '<span class="l9" title="difference 2.00">b</span>' in made
    assert re.search(r"\.n9 .*overline", made)
    assert re.search(r"\.l9 .*underline", made)
    assert "difference -2 " in made
    assert "(nats. unsure)" in made


def test_cells_of_several_documents_are_one_row_of_tokens() -> None:
    one, two = tokens.cells("a😀", [1, 3, 5]), tokens.cells("b", [0, 1])
    whole = tokens.joined([one, two])
    assert whole.text == ["a", "😀", "b"]
    assert whole.sum(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist() == [1.0, 5.0, 9.0]


def heavy_tailed(n: int = 2000) -> np.ndarray:
    """Weights of mean 1, one of which is 1,421 before they are scaled."""
    weight = np.random.default_rng(0).lognormal(-1.0, 1.0, n)
    weight[n // 2] = 1421.0
    return np.asarray(weight / weight.mean())


@pytest.mark.parametrize("n", [20, 100, 2000])
def test_one_outlier_leaves_the_other_tokens_their_shades(n: int) -> None:
    weight = heavy_tailed(n)
    without = np.delete(weight, n // 2)
    levels = weight_scale(weight).levels(without)
    assert np.unique(levels).size >= 6
    assert levels.max() == 9
    assert np.abs(levels - weight_scale(without).levels(without)).max() <= 2


def test_shades_are_logarithmic_where_the_values_have_a_heavy_tail() -> None:
    even, tail = np.linspace(0.0, 2.0, 500), np.random.default_rng(0).lognormal(-2.0, 2.5, 5000)
    assert weight_scale(even).knee is None
    scale = weight_scale(tail)
    assert scale.knee is not None
    assert scale.words.endswith("logarithmic shades")
    # the middle of shade k: where log(1 + v / knee) is k ninths of that of the top
    assert scale.value_at(9) == pytest.approx(scale.top)
    assert scale.value_at(0) == 0.0
    assert scale.levels(np.array([scale.value_at(k) for k in range(10)])).tolist() == [*range(10)]
    assert f" {scale.value_at(4):.2g} " in tokens.legend(scale)


def test_a_few_tokens_with_weight_are_shaded_and_none_with_zero() -> None:
    weight = np.zeros(1000)
    weight[:3] = [100.0, 200.0, 700.0]
    levels = weight_scale(weight).levels(weight)
    assert (levels[:3] > 0).all()
    assert not levels[3:].any()


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_shades_follow_the_order_of_the_values(values: np.ndarray) -> None:
    scale = weight_scale(values)
    levels = scale.levels(np.sort(values))
    assert (np.diff(levels) >= 0).all()
    assert np.abs(levels).max() <= 9
    assert ((np.sort(values) >= 0) | (levels <= 0)).all()
