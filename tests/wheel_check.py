"""`make wheel-check`: the wheel, installed in a new environment and used from another folder.

Too slow for a test: it downloads torch and every other requirement. Needs a Chromium.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
LARGEST = 25e6  # bytes of the wheel
PYTHONS = ("3.11", "3.12", "3.13")
BESIDE = ("lm-eval>=0.4.13", "vllm>=0.33")  # that share an environment with the wheel
START_SECONDS = 300.0
EXAMPLE = """
import csvcore
lab = csvcore.open("zoo.duckdb", corpus="zoo", split="by-size")
fits = lab.fit("facts", method="all-token")
assert len(fits.figure().data) and len(fits.table()) == 1
assert len(lab.predict(fits[0], models=lab.models()["model"][:2]).table()) == 2
print("api:", fits[0].fit, fits[0].mse)
"""


def main() -> None:
    """Build the wheel, install it and use it."""
    with tempfile.TemporaryDirectory(prefix="wheel-check-") as name:
        place = Path(name)
        wheel = build(place)
        resolve(place, wheel)
        commands = install(place / "venv", wheel)
        work = place / "elsewhere"
        work.mkdir()
        database = ("--db", "zoo.duckdb")
        for arguments in (
            ("init", "--zoo"),
            ("fit", "--corpus", "zoo", "--split", "by-size", "--task", "facts", "--steps", "2"),
            ("export", "tables", "--out", "tables"),
        ):
            run(work, commands / "csvcore", *database, *arguments)
        run(work, commands / "python", "-c", EXAMPLE)
        look(work, commands)
    print("the wheel works")


def build(place: Path) -> Path:
    """Build the wheel from a copy, so that the checkout stays clean."""
    source = place / "source"
    kept = shutil.ignore_patterns(".git", ".venv", "zoo_work", "zoo_check", "*.duckdb*", "build")
    shutil.copytree(ROOT, source, ignore=kept)
    run(place, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place, source)
    [wheel] = place.glob("*.whl")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.1f} MB")
    assert size < LARGEST, f"{size} bytes are more than {LARGEST:.0f}"
    return wheel


def resolve(place: Path, wheel: Path) -> None:
    """Resolve the wheel beside vllm and lm-eval by their metadata alone, on every Python."""
    wanted = place / "wanted.in"
    lines = [f"csvcore[dashboard,notebook] @ {wheel.as_uri()}", *BESIDE]
    wanted.write_text("\n".join(lines), encoding="utf-8")
    for version in PYTHONS:
        found = place / f"found-{version}.txt"
        uv = (sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate")
        run(place, *uv, "--python-version", version, wanted, "-o", found)
        names = ("torch==", "transformers==", "vllm==", "lm-eval==")
        pins = found.read_text(encoding="utf-8").splitlines()
        print(f"Python {version}:", *(line for line in pins if line.startswith(names)))


def install(folder: Path, wheel: Path) -> Path:
    """Install the wheel in a new environment; return the folder of its commands."""
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    [torch] = [line for line in pins if line.startswith("torch==")]
    run(
        folder, commands / "python", "-m", "pip", "install", "--quiet", torch, f"{wheel}[dashboard]"
    )
    return commands


def look(work: Path, commands: Path) -> None:
    """Check that the dashboard sends its headers and shows the Overview in its theme."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [commands / "csvcore", "--db", "zoo.duckdb", "dashboard", "--port", str(port)]
    server = subprocess.Popen(command, cwd=work)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(address):
            assert server.poll() is None and time.monotonic() < deadline, "no answer"
            time.sleep(0.5)
        with urllib.request.urlopen(address) as page:
            assert "default-src 'self'" in page.headers["content-security-policy"]
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            screen = browser.new_page()
            screen.set_default_timeout(1000 * START_SECONDS)
            screen.goto(address)
            screen.get_by_role("heading", name="Overview").wait_for()
            screen.get_by_text("All losses present").first.wait_for()
            screen.goto(f"{address}/paper?evidence=Figure+4")
            screen.locator(".js-plotly-plot").wait_for()
            assert screen.locator("[data-testid=stException]").count() == 0
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
    print("the dashboard shows the Overview and the paper's Figure 4")


def answers(address: str) -> bool:
    """Return whether the server is up."""
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def run(folder: Path, *command: object) -> None:
    """Run a command in a folder; a failure ends the check."""
    print("$", *[str(part).split("\n")[-1] or "python -c ..." for part in command], flush=True)
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


if __name__ == "__main__":
    main()
