"""Zip files of others: a few kinds of files in them are unpacked within a budget, nothing else."""

import errno
import lzma
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from csvcore.errors import InputError, reason
from csvcore.formats.outside import reading
from csvcore.values import quoted

LARGEST = 2**30  # bytes that all unpacked files may have together
MOST = 20_000  # members of an archive
CHUNK = 2**20
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@contextmanager
def unpacked(path: Path, patterns: Collection[str], largest: int = LARGEST) -> Iterator[Path]:
    """Yield a temporary folder beside a zip file with those of its files that match a pattern.

    Args:
        path: the zip file.
        patterns: of file names, such as `results*.json`.
        largest: bytes that the unpacked files may have together; counted as they are written, since
            an archive may state too few.

    Raises:
        InputError: not a zip file or a damaged one, more than MOST members, a name that leads out
            of the folder, a link, a password, two files of one name, no file of a pattern, or more
            bytes than allowed. Nothing of it is left then.
    """
    with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=path.parent) as name:
        folder = Path(name)
        try:
            with reading(path.name), zipfile.ZipFile(path) as archive:
                n_bytes = 0
                for member in _wanted(path.name, archive, patterns):
                    for n_new in _unpack(archive, member, folder):
                        n_bytes += n_new
                        _keep_budget(path.name, n_bytes, largest)
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # of the disk; those without a number are of bz2, EINVAL of a wrong offset
            raise InputError(
                f"{path.name} is not a zip file that can be read: {reason(error)}; zip the folder "
                "again"
            ) from error
        yield folder


def _wanted(
    name: str, archive: zipfile.ZipFile, patterns: Collection[str]
) -> list[zipfile.ZipInfo]:
    """Return the members to unpack, after a look at all of them."""
    members = archive.infolist()
    if len(members) > MOST:
        raise InputError(f"{name} has {len(members):,} members, more than {MOST:,}; divide it")
    wanted = []
    seen: set[str] = set()
    for member in members:
        _check(name, member)
        file = PurePosixPath(member.filename)
        if member.is_dir() or not any(fnmatch(file.name, pattern) for pattern in patterns):
            continue
        if str(file) in seen:
            raise InputError(f"{name} has the file {quoted(str(file))} twice; make it again")
        seen.add(str(file))
        wanted.append(member)
    if not wanted:
        raise InputError(
            f"{name} has no {' or '.join(patterns)}; zip the folder that these files are in"
        )
    return wanted


def _check(name: str, member: zipfile.ZipInfo) -> None:
    """Refuse a member that leads out of the folder, is a link, or needs a password."""
    inside = member.filename.replace("\\", "/")
    drive = len(inside) > 1 and inside[1] == ":"
    if inside.startswith("/") or drive or ".." in inside.split("/") or "\0" in member.orig_filename:
        raise InputError(
            f"{name} has the member {quoted(member.filename)}, whose name leads out of the folder "
            "it is unpacked to; nothing of it was read"
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(
            f"{name} has the member {quoted(member.filename)}, which is a link or a device; zip "
            "files alone"
        )
    if member.flag_bits & 1:
        raise InputError(f"{name} needs a password; zip the files without one")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Iterator[int]:
    """Write a member into the folder; yield the bytes of each part before it is written."""
    target = folder / member.filename.replace("\\", "/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("xb") as stream:
        while chunk := source.read(CHUNK):
            yield len(chunk)
            stream.write(chunk)


def _keep_budget(name: str, n_bytes: int, largest: int) -> None:
    if n_bytes > largest:
        raise InputError(
            f"{name} unpacks to more than the {largest / 2**20:,.0f} MB allowed; zip the result "
            "files alone, or divide it"
        )
