"""Laws of the guides on the Docs page: all are there, and every link leads somewhere."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dashboard.queries.guides import guides, markdown

ROOT = Path(__file__).parents[3]


def test_worked_example() -> None:
    code = "```sh\n# $x\n```\n"
    text = f"# A\n\n[b](b.md#x), [c](../c.md), ![d](d.png), [e](https://e.org), $1.\n\n{code}"
    assert markdown(text, ["a", "b"]) == (
        f"## A\n\n[b](docs?guide=b), c, d, [e](https://e.org), \\$1.\n\n{code}"
    )


def test_every_guide_of_the_repository_is_shown_and_links_lead_to_one() -> None:
    found = guides()
    assert set(found) == {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert next(iter(found)) == "dashboard"
    for text in found.values():
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            assert target.startswith("http") or target.removeprefix("docs?guide=") in found


@given(st.text(alphabet="ab#$[]() \n"))
def test_code_stays_as_it_is(code: str) -> None:
    assert f"```\n{code}\n```" in markdown(f"text\n\n```\n{code}\n```\n", [])
