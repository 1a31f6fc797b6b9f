"""Laws of weighted text as a page of its own."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

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
    return tokens.page([("doc", cells.text, np.array(weight), None)], weight_scale(top))


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
    made = tokens.page([(HOSTILE, cells.text, weight, None)], weight_scale(1.0))
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
