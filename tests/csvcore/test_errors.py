import errno
from pathlib import Path

import pytest

from csvcore.errors import LONGEST_MESSAGE, InputError, explained, shortened


def test_what_was_raised_on_purpose_is_its_own_explanation() -> None:
    error = InputError("x")
    assert explained(error) is error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "it takes more memory than there is"),
        (RecursionError("maximum"), "it is nested too deeply"),
        (OverflowError("date value out of range"), "date value out of range"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "it is not UTF-8 text (byte 0)"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), "Permission denied: a.csv"),
    ],
)
def test_an_error_of_the_machine_becomes_one_sentence(error: Exception, said: str) -> None:
    told = explained(error)
    assert told is not None
    assert said in str(told)
    assert "\n" not in str(told)


def test_a_full_disk_says_where_and_how_much_is_free(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.csv"
    told = str(explained(OSError(errno.ENOSPC, "No space left on device", str(path))))
    assert told.startswith(f"no space is left to write {path}: {tmp_path} has ")
    assert "MB free" in told
    assert "repeat" in told


@pytest.mark.parametrize(
    "fault", [ValueError("x"), KeyError("x"), TypeError("x"), ZeroDivisionError()]
)
def test_a_fault_of_the_program_has_no_explanation(fault: Exception) -> None:
    assert explained(fault) is None


def test_a_long_message_keeps_both_ends() -> None:
    assert shortened("short") == "short"
    cut = shortened("a" * 10**6 + "b")
    assert len(cut) <= LONGEST_MESSAGE + 5
    assert cut[0] == "a"
    assert cut[-1] == "b"
