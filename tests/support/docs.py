"""Code blocks, commands, paths and modules that the documentation names."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)+/?")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b(?!\.md)")
MODULE = re.compile(r"(?:csvcore|dashboard|tests)(?:\.\w+)+")
NOT_MODULES = {"csvcore.duckdb", "csvcore.manifest"}  # a file and a key of Parquet metadata


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's fenced code of one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Return the arguments of every `csvcore` command in the page's shell code."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    parts = [shlex.split(line, comments=True) for line in lines]
    return [part[1:] for part in parts if part[:1] == ["csvcore"]]


def paths(page: Path) -> list[str]:
    """Return the paths in backticks that begin with a folder of the repository or the page."""
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()}
    names = [name.rstrip("/") for name in _quoted(page) if PATH.fullmatch(name)]
    return [
        name
        for name in names
        if name not in ignored
        and not PLACEHOLDER.search(name)
        and any((folder / name.split("/")[0]).is_dir() for folder in (ROOT, page.parent))
    ]


def exists(name: str, page: Path) -> bool:
    """Return whether a path or glob has a file, seen from the repository or from the page."""
    return any(any(folder.glob(name)) for folder in (ROOT, page.parent))


def modules(page: Path) -> list[str]:
    """Return the dotted names in backticks that begin with one of our packages."""
    names = [match[0] for name in _quoted(page) if (match := MODULE.match(name))]
    return [name for name in names if name not in NOT_MODULES]


def module_exists(name: str) -> bool:
    """Return whether a dotted name is a module, a package or a name in one."""
    parent, last = name.rsplit(".", 1)
    if _file(name):
        return True
    owner = _file(parent)
    return owner is not None and re.search(rf"\b{last}\b", owner.read_text("utf-8")) is not None


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.exists()), None)


def _quoted(page: Path) -> list[str]:
    """Return what stands in backticks outside fenced code."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)
