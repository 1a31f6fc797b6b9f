"""Fuzzed inputs over every reader: a result or a sentence, never a traceback and never for ever."""

import math
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from benchmarks.attacks.found import Bounds, Found, strike
from benchmarks.attacks.readers import Reader, readers

# What breaks readers: not UTF-8, other lines, depths, numbers beyond a float or Python, formulas.
NASTY = (
    b"\xff", b"\x00", b"\r", b"\n\n", b'"', b",,,", b"[" * 2000, b"{" * 2000, b"9" * 5000,
    b"1e999", b"-1", b"NaN", b"Infinity", b"null", b"true", b"1.5", b"\xe2\x80\xae", b"=1+1",
    b"a" * 140_000, b"\xef\xbb\xbf", b"PAR1", b"../../x", b"9007199254740993",
)  # fmt: skip


def attack(files: Path, scratch: Path, n: int, left: Bounds, seed: int) -> Found:
    """Feed n mutations of good files to the readers, in turn, or a few more: each gets as many."""
    found = Found("fuzz")
    known = readers(files)
    each = max(1, math.ceil(n / len(known)))
    for name, reader in known.items():
        if not left():
            break
        folder = scratch / name
        folder.mkdir()
        _fuzz(found, name, reader, folder / reader.file, each, left, seed)
    return found


def _fuzz(
    found: Found, name: str, reader: Reader, path: Path, n: int, left: Bounds, seed: int
) -> None:
    @seeded(seed)
    @settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(reader.good))
    def run(content: bytes) -> None:
        if left():
            path.write_bytes(content)
            strike(found, name, lambda: reader.read(path))

    run()


@st.composite
def mutations(draw: st.DrawFn, good: bytes) -> bytes:
    """Draw a good file with some bytes changed, cut, doubled or nasty; or none of it."""
    if not good or draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200) | st.sampled_from(NASTY))
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 4)):
            case 0:
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case 1:
                content[at:at] = draw(st.sampled_from(NASTY))
            case 2:
                del content[at : at + draw(st.integers(1, 50))]
            case 3:
                del content[at:]
            case 4:
                content[at:at] = content[max(0, at - 100) : at]
    return bytes(content)
