"""What of a Markdown text is more than text."""

import re

ACTIVE = re.compile(
    r"https?://|www\.|@[\w]|(?<!\\)\]\(|(?<!\\)\*\*c|:smile:|(?<!\\):\w+\[", re.IGNORECASE
)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)  # its content is never active


def active(shown: str) -> str | None:
    """What of a Markdown text would be more than text."""
    found = ACTIVE.search(CODE.sub("", shown))
    return found and found[0]
