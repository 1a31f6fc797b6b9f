"""Files that once ended in a traceback (#20): each is one line on standard error, status 1."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from csvcore import cli, store
from csvcore.cli.base import escaped
from csvcore.formats.corpora import patterns
from csvcore.pipeline import imports

DEEP = "[" * 100_000
LONG = "9" * 5000
CORPUS = "import corpus {} --name x"
MODELS = "import models {}"
HARNESS = "import accuracies {} --format lm-eval"
SAMPLE = "corpus sample --recipe {} --out o.jsonl"
NESTED = "it is nested too deeply"
DIGITS = "a whole number in it has more than 4,300 digits"


def harness(**more: object) -> str:
    return json.dumps({"model_name": "m", "results": {"quiz": {"acc,none": 0.5}}} | more)


def effective(n: object) -> str:
    return harness(**{"n-samples": {"quiz": {"effective": n}}})


def recipe(files: str = "*.txt", rows: str = "", text: str = "{text}") -> str:
    fields = {"source": "s", "data": ".", "files": files, "count": 1, "text": text, "rows": rows}
    return "[[part]]\n" + "\n".join(f"{key} = {json.dumps(fields[key])}" for key in fields)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a database that has one model and one task."""
    monkeypatch.chdir(tmp_path)
    store.create(Path("csvcore.duckdb"))
    Path("models.csv").write_text("model,family\nm,f\n")
    Path("tasks.csv").write_text("task,chance\nquiz,0.25\n")
    imports.import_models(Path("csvcore.duckdb"), Path("models.csv"))
    imports.import_tasks(Path("csvcore.duckdb"), Path("tasks.csv"))
    return tmp_path


def run(command: str, file: str) -> Result:
    return CliRunner().invoke(
        cli.main, [file if word == "{}" else word for word in command.split()]
    )


@pytest.mark.parametrize(
    ("command", "name", "content", "said"),
    [
        (CORPUS, "a.jsonl", DEEP, NESTED),
        (CORPUS, "a.jsonl", f'{{"doc_id": {LONG}}}', DIGITS),
        (CORPUS, "a.csv", f'doc_id,source,text,answers\na,s,x,"{DEEP}"\n', NESTED),
        (CORPUS, "a.csv", f'doc_id,source,text,answers\na,s,x,"[[0,{LONG}]]"\n', DIGITS),
        (CORPUS, "a.jsonl", '{"doc_id": "a\\u202e", "source": "s", "text": "x"}', "U+202E"),
        (MODELS, "m.csv", "model,family\na\x1b[31m,f\n", "U+001B"),
        (MODELS, "m.csv", "model,family\ncafe\u0301,f\ncaf\u00e9,f\n", "stands there twice"),
        (MODELS, "m.csv", f"model,family,n_params\na,f,{LONG}\n", "must be a whole number from 0"),
        (HARNESS, "r.json", DEEP, NESTED),
        (HARNESS, "r.json", harness().replace("0.5", LONG), DIGITS),
        (HARNESS, "r.json", harness().replace("0.5", "9" * 400), "accuracy must be finite"),
        (HARNESS, "r.json", effective(-5), "n-samples must be a whole number from 1, got -5"),
        (HARNESS, "r.json", effective(0), "n-samples must be a whole number from 1, got 0"),
        (HARNESS, "r.json", effective(10.5), "n-samples must be a whole number from 1, got 10.5"),
        (HARNESS, "r.json", effective(True), "n-samples must be a whole number from 1, got True"),
        ("import accuracies {}", "a.csv", "model,quiz\nm,\n", "there are 0 accuracies in a.csv"),
        (SAMPLE, "r.toml", "part = [1]", "part 1 must be a table, [[part]], got 1"),
        (SAMPLE, "r.toml", f"part = {DEEP}", NESTED),
        (SAMPLE, "r.toml", f"seed = {LONG}", DIGITS),
        (SAMPLE, "r.toml", recipe(files=""), "files must be a pattern inside of data"),
        (SAMPLE, "r.toml", recipe(files="/etc/*"), "files must be a pattern inside of data"),
        (SAMPLE, "r.toml", recipe(files="../*"), "files must be a pattern inside of data"),
        (SAMPLE, "r.toml", recipe(rows="(" * 5000), "rows is no regular expression"),
        (SAMPLE, "r.toml", recipe(rows="a{99999999999}"), "rows is no regular expression"),
        (SAMPLE, "r.toml", recipe(text=f"{{text[{LONG}]}}"), "the template's {text[999"),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(
    folder: Path, command: str, name: str, content: str, said: str
) -> None:
    Path(name).write_text(content)
    result = run(command, name)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.strip().isprintable()
    assert len(result.stderr) < 6000


def test_a_standard_error_near_zero_implies_no_number_of_items(folder: Path) -> None:
    scores = {"acc,none": 0.5, "acc_stderr,none": 1e-300}
    Path("r.json").write_text(harness(results={"quiz": scores}))
    assert run(HARNESS, "r.json").exit_code == 0
    with store.connect(Path("csvcore.duckdb"), read_only=True) as db:
        assert [entry.n_items for entry in store.accuracies(db)] == [None]


def test_long_cells_and_exact_numbers_are_kept(folder: Path) -> None:
    Path("m.csv").write_text(f"model,family,n_params\nx,{'f' * 140_000},{2**53 + 1}\n")
    assert run(MODELS, "m.csv").exit_code == 0
    with store.connect(Path("csvcore.duckdb"), read_only=True) as db:
        [card] = [card for card in store.models(db) if card.model == "x"]
    assert card.n_params == 2**53 + 1
    assert len(card.family) == 140_000


def test_a_hundred_thousand_columns_take_seconds(folder: Path) -> None:
    """They took 345 s (#20)."""
    wide = ",".join(f"c{i}" for i in range(100_000))
    Path("m.csv").write_text(f"model,family,{wide}\nx,f{',1' * 100_000}\n")
    assert run(MODELS, "m.csv").exit_code == 0


def test_a_folder_does_not_follow_a_link_out_of_itself(folder: Path) -> None:
    Path("texts/a").mkdir(parents=True)
    Path("texts/a/one.txt").write_text("inside")
    Path("texts/a/two.txt").symlink_to("one.txt")
    assert run(CORPUS, "texts").exit_code == 0
    Path("texts/a/passwd.txt").symlink_to("/etc/passwd")
    result = run("import corpus {} --name y", "texts")
    assert result.exit_code == 1
    assert "passwd.txt is a link to /etc/passwd, out of the folder" in result.stderr


def test_an_expression_without_end_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns.matches, "__defaults__", (1.0,))
    Path("a.txt").write_text("a" * 40 + "!")
    Path("r.toml").write_text(recipe(files="a.txt", rows="(?P<text>(a|aa)+)$"))
    result = run(SAMPLE, "r.toml")
    assert result.exit_code == 1
    assert "the regular expression in rows takes more than 1 s; avoid repeats" in result.stderr


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[2J", "a\u202eb", "a\u200b"])
@pytest.mark.parametrize("kind", ["corpus", "split"])
def test_a_name_on_the_command_line_keeps_the_same_rule(
    folder: Path, write: Callable[[str, str], Path], kind: str, name: str
) -> None:
    file = write("a.jsonl", '{"doc_id": "a", "source": "s", "text": "x"}')
    result = CliRunner().invoke(cli.main, ["import", kind, str(file), "--name", name])
    assert result.exit_code == 1
    assert f"the name of a {kind} " in result.stderr


def test_a_terminal_sees_no_raw_escape() -> None:
    text = "a\x1b[2J\x9b\u202e\n\tb é"
    assert escaped(text) == "a\\u001b[2J\\u009b\\u202e\n\tb é"
    assert json.loads(f'"{escaped(text[:4])}"') == text[:4]


def test_commands_print_by_one_function() -> None:
    others = [path for path in Path(cli.__file__).parent.glob("*.py") if path.name != "base.py"]
    assert [path.name for path in others if "click.echo" in path.read_text()] == []
