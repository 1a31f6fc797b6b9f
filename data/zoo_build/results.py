"""Intermediate results in the zoo's worked documents, by the sentence patterns of the zoo."""

import re

Span = tuple[int, int]

RESULT = re.compile(r"= ?(\d+)|has the (\w+)")
STATE = re.compile(r"Now [^.]*")
HELD = re.compile(r"[A-Z][a-z]+ ([a-z]+)")


def result_spans(text: str) -> tuple[Span, ...]:
    """Return the character spans of intermediate results, in order.

    A result is the number after "= ", the word after "has the ", or the word after a name in a
    clause beginning with "Now".
    """
    spans = [match.span(match.lastindex or 0) for match in RESULT.finditer(text)]
    for state in STATE.finditer(text):
        spans += [match.span(1) for match in HELD.finditer(text, state.start() + 4, state.end())]
    return tuple(sorted(spans))
