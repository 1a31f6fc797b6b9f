import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.formats import archives

Write = Callable[[str, str | bytes], Path]


def made(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_files_of_the_patterns_alone_are_unpacked_and_gone_afterwards(tmp_path: Path) -> None:
    path = made(
        tmp_path / "r.zip",
        ("out/m/results_1.json", b"{}"), ("out/m/samples.jsonl", b"x"), ("results.json", b"[]"),
    )  # fmt: skip
    with archives.unpacked(path, ["results*.json"]) as folder:
        files = {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")}
        assert files == {"out/m/results_1.json", "results.json"}
        assert (folder / "out/m/results_1.json").read_bytes() == b"{}"
    assert [file.name for file in tmp_path.iterdir()] == ["r.zip"]


def info(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = mode << 16
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../results.json", "leads out of the folder"),
        ("a/../../results.json", "leads out of the folder"),
        ("..\\results.json", "leads out of the folder"),
        ("/etc/results.json", "leads out of the folder"),
        ("C:\\results.json", "leads out of the folder"),
        ("c:results.json", "leads out of the folder"),
        (info("results.json", stat.S_IFLNK | 0o777), "is a link or a device"),
        (info("results.json", stat.S_IFIFO | 0o777), "is a link or a device"),
        ("notes.txt", r"has no results\*\.json; zip the folder"),
    ],
)
def test_what_is_refused(tmp_path: Path, member: str | zipfile.ZipInfo, message: str) -> None:
    path = made(tmp_path / "r.zip", (member, b"/etc/passwd"))
    with pytest.raises(InputError, match=message), archives.unpacked(path, ["results*.json"]):
        pytest.fail("it was unpacked")
    assert [file.name for file in tmp_path.iterdir()] == ["r.zip"]


def test_a_member_that_is_not_wanted_is_looked_at_too(tmp_path: Path) -> None:
    path = made(tmp_path / "r.zip", ("results.json", b"{}"), ("../x", b""))
    with pytest.raises(InputError, match="leads out"), archives.unpacked(path, ["results*.json"]):
        pytest.fail("it was unpacked")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "r.zip", ("results.json", b"{}"), ("results.json", b"[]"))
    with pytest.raises(InputError, match="twice"), archives.unpacked(path, ["results*.json"]):
        pytest.fail("it was unpacked")


def test_a_bomb_stops_at_its_budget(tmp_path: Path) -> None:
    """8 MB of zeros in 8 kB; what the archive states as its size does not count."""
    path = made(tmp_path / "r.zip", ("results.json", bytes(8 * 2**20)))
    with (
        pytest.raises(InputError, match="more than the 4 MB allowed"),
        archives.unpacked(path, ["results*.json"], largest=4 * 2**20),
    ):
        pytest.fail("it was unpacked")
    assert [file.name for file in tmp_path.iterdir()] == ["r.zip"]
    with archives.unpacked(path, ["results*.json"], largest=8 * 2**20) as folder:
        assert (folder / "results.json").stat().st_size == 8 * 2**20


def test_samples_do_not_count(tmp_path: Path) -> None:
    path = made(tmp_path / "r.zip", ("results.json", b"{}"), ("samples.jsonl", bytes(2**20)))
    with archives.unpacked(path, ["results*.json"], largest=10) as folder:
        assert (folder / "results.json").exists()


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST", 3)
    path = made(tmp_path / "r.zip", *((f"results{i}.json", b"{}") for i in range(4)))
    with (
        pytest.raises(InputError, match="4 members, more than 3"),
        archives.unpacked(path, ["results*.json"]),
    ):
        pytest.fail("it was unpacked")


@example(junk=b">", at=135, cut=False)  # a start before the file's
@given(junk=st.binary(max_size=200), at=st.integers(0, 150), cut=st.booleans())
def test_a_damaged_archive_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    path = made(folder / "r.zip", ("results.json", b'{"results": 1}' * 5))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + (b"" if cut else whole[at + len(junk) :]))
    try:
        with archives.unpacked(path, ["results*.json"]):
            pass
    except InputError as error:
        assert "\n" not in str(error)
    assert [file.name for file in folder.iterdir()] == ["r.zip"]
