import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from csvcore import cli, store
from csvcore.errors import InputError
from csvcore.formats.corpora import (
    PAPER,
    Part,
    Recipe,
    read_corpus,
    read_recipe,
    recipes,
    sample,
    write_corpus,
)
from csvcore.pipeline import imports
from csvcore.records import Document
from tests.support.world import DOCS

ROWS = [
    {
        "doc_id": d.doc_id,
        "source": d.source,
        "text": d.text,
        "answers": [list(s) for s in d.answers],
    }
    for d in DOCS
]


# Corpora that are there


def as_csv(folder: Path) -> Path:
    cells = [row | {"answers": json.dumps(row["answers"])} for row in ROWS]
    pd.DataFrame(cells).to_csv(folder / "docs.csv", index=False)
    return folder / "docs.csv"


def as_parquet(folder: Path) -> Path:
    pd.DataFrame(ROWS).to_parquet(folder / "docs.parquet")
    return folder / "docs.parquet"


def as_jsonl(folder: Path) -> Path:
    write_corpus(folder / "docs.jsonl", DOCS)
    return folder / "docs.jsonl"


@pytest.mark.parametrize("write_as", [as_csv, as_parquet, as_jsonl])
def test_a_corpus_is_the_same_in_every_format(
    tmp_path: Path, write_as: Callable[[Path], Path]
) -> None:
    assert read_corpus(write_as(tmp_path)) == list(DOCS)


def test_a_text_keeps_its_spaces_in_csv(write: Callable[..., Path]) -> None:
    file = write("c.csv", 'doc_id,source,text\na,s,"  two\n\nlines, "\nNA,null,nan\n')
    assert [doc.text for doc in read_corpus(file)] == ["  two\n\nlines, ", "nan"]


def test_a_text_in_csv_may_be_long_and_keeps_its_line_ends(tmp_path: Path) -> None:
    text = "long " * 40_000 + "\r\nend"
    (tmp_path / "c.csv").write_bytes(f'\r\n doc_id,source ,text,\r\na,s,"{text}",\r\n'.encode())
    assert read_corpus(tmp_path / "c.csv") == [Document("a", "s", text)]


def test_a_folder_of_texts_is_a_corpus_with_folders_as_sources(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (("b/two.TXT", "Two.\r\n"), ("a/one.txt", "猫 one"), ("top.txt", "Top.")):
        (tmp_path / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "texts" / name).write_bytes(text.encode())
    (tmp_path / "texts" / "notes.md").write_text("not a document")
    assert read_corpus(tmp_path / "texts") == [
        Document("a/one", "a", "猫 one"),
        Document("b/two", "b", "Two.\r\n"),
        Document("top", "texts", "Top."),
    ]
    assert "left aside: 1 files that are no .txt, such as " in caplog.text
    (tmp_path / "texts" / "top.TXT").write_text("Other.")
    with pytest.raises(InputError, match=r"top.txt: doc_id 'top' stands there twice"):
        read_corpus(tmp_path / "texts")


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("c.csv", "doc_id,source\na,s\n", "row 1: text must be a string that is not empty"),
        ("c.csv", "doc_id,source,text\na,s,x\na,s,y\n", "row 2: doc_id 'a' stands there twice"),
        ("c.csv", "doc_id,source,text,answers\na,s,x,[[0\n", "row 1: answers is not JSON"),
        ("c.csv", 'doc_id,source,text,answers\na,s,x,"[[0,9]]"\n', "row 1: answer span"),
        ("c.csv", "doc_id,source,text\n", "has no documents"),
        ("c.csv", "", "is not CSV: it is empty"),
        ("c.csv", "doc_id;source;text\na;s;x\n", "is separated by ';', csvcore reads commas"),
        (
            "c.csv",
            "doc_id,source,text\na,s,hello, you\n",
            r"c\.csv line 2 has 4 fields and the h.* 3",
        ),
        ("c.csv", "doc_id,source,text\na,s,x\nb,s\n", "line 3 has 2 fields and the header 3; put"),
        ("c.csv", "doc_id,source,text,text\na,s,x,y\n", "c.csv has the column 'text' twice"),
        ("c.csv", 'doc_id,source,text\na,s,"x\n', "is not CSV: unexpected end of data"),
        ("c.parquet", "no", "is not a Parquet file"),
        ("nowhere.csv", None, "there is no file"),
    ],
)
def test_a_table_that_is_no_corpus_is_refused(
    tmp_path: Path, name: str, content: str | None, refusal: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=refusal):
        read_corpus(tmp_path / name)


def test_a_folder_without_texts_and_an_empty_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no \.txt file; in a folder"):
        read_corpus(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"a\.txt: text must be a string that is not empty"):
        read_corpus(tmp_path)


def test_a_folder_is_imported_as_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("One.")
    store.create(tmp_path / "r.duckdb")
    said = imports.import_corpus(tmp_path / "r.duckdb", tmp_path / "texts", "mine")
    assert said == "corpus mine: 1 documents, 1 sources"


# The paper's recipe, on data of the same form


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder for each source, its files named and shaped as the real ones."""
    root = tmp_path_factory.mktemp("data")
    four = ["red", "green", "blue", "grey"]
    parquet(
        root / "mmlu/all/test-00000-of-00001.parquet",
        [{"question": f"Colour {i}?", "choices": four, "answer": i % 4} for i in range(130)],
    )
    parquet(root / "mmlu/all/dev-00000-of-00001.parquet", [{"question": "not this"}])
    parquet(
        root / "gsm8k/main/test-00000-of-00001.parquet",
        [{"question": f"{i} + 1?", "answer": f"So {i + 1}.\n#### {i + 1}"} for i in range(110)],
    )
    parquet(
        root / "hellaswag/data/validation-00000-of-00001.parquet",
        [
            {"activity_label": "Golf", "ctx": f"Hole {i}.", "endings": four, "label": str(i % 4)}
            for i in range(105)
        ],
    )
    for subject in ("logic", "law"):
        parquet(
            root / f"ceval/{subject}/val-00000-of-00001.parquet",
            [
                {
                    "question": f"{subject} {i}？",
                    **dict(zip("ABCD", four, strict=True)),
                    "answer": "C",
                }
                for i in range(60)
            ],
        )
    for folder in ("bbh", "cot-prompts"):
        (root / "BIG-Bench-Hard" / folder).mkdir(parents=True)
    for task in range(20):
        examples = [{"input": f"Task {task} item {i}", "target": f"({i})"} for i in range(6)]
        path = root / f"BIG-Bench-Hard/bbh/task_{task}.json"
        path.write_text(json.dumps({"canary": "do not train", "examples": examples}))
        shots = "\n\n".join(
            f"Q: Which of {task}, {i}?\nOptions:\n(A) one\nA: Let's think step by step.\n"
            f"Dr. X says {i}.5.\nSo the answer is ({i})."
            for i in range(3)
        )
        prompt = root / f"BIG-Bench-Hard/cot-prompts/task_{task}.txt"
        prompt.write_text(f"a canary\n-----\nThink of the task.\n\n{shots}\n")
    own = {name: str(root / name) for name in ("mmlu", "gsm8k", "hellaswag", "ceval")}
    return own | dict.fromkeys(("bbh", "bbh-cot"), str(root / "BIG-Bench-Hard"))


@pytest.fixture(scope="module")
def drawn(data: dict[str, str]) -> list[Document]:
    recipe = read_recipe(PAPER).with_changes({}, data)
    return [doc for _, docs in sample(recipe) for doc in docs]


def test_the_papers_recipe_draws_its_550_documents(drawn: list[Document]) -> None:
    counts = {doc.source: 0 for doc in drawn}
    for doc in drawn:
        counts[doc.source] += 1
    hundred = dict.fromkeys(("mmlu", "gsm8k", "hellaswag", "bbh", "ceval"), 100)
    assert counts == hundred | {"bbh-cot": 50}
    assert len({doc.doc_id for doc in drawn}) == len({doc.text for doc in drawn}) == 550


def test_every_document_reads_as_its_benchmark_and_marks_its_answer(drawn: list[Document]) -> None:
    by_source = {doc.source: doc for doc in drawn}
    answers = {s: [d.text[a:b] for a, b in d.answers] for s, d in by_source.items()}
    index = int(by_source["mmlu"].doc_id.removeprefix("mmlu-"))
    colours = ["red", "green", "blue", "grey"]
    assert answers["mmlu"] == ["ABCD"[index % 4], colours[index % 4]]
    assert by_source["mmlu"].text.startswith(f"Question: Colour {index}?\nA. red\nB. green\n")
    index = int(by_source["gsm8k"].doc_id.removeprefix("gsm8k-"))
    assert answers["gsm8k"] == [f"So {index + 1}.\n#### {index + 1}"]
    index = int(by_source["hellaswag"].doc_id.removeprefix("hellaswag-"))
    assert by_source["hellaswag"].text == f"Golf: Hole {index}. {colours[index % 4]}"
    assert answers["ceval"] == ["C"]
    index = int(by_source["bbh-cot"].doc_id.removeprefix("bbh-cot-"))
    assert answers["bbh-cot"] == [f"({index % 3})"]
    assert by_source["bbh-cot"].text.endswith(
        f"Dr. X says {index % 3}.5.\nSo the answer is ({index % 3})."
    )
    assert by_source["bbh-cot"].text.startswith("Q: Which of ")


def test_the_seed_decides_and_a_smaller_count_is_the_beginning_of_a_larger_one(
    data: dict[str, str], drawn: list[Document]
) -> None:
    recipe = read_recipe(PAPER).with_changes({"mmlu": 7}, data)
    [few, *_] = [docs for _, docs in sample(recipe)]
    assert few == drawn[:7]
    [other, *_] = [docs for _, docs in sample(replace(recipe, seed=1))]
    assert [doc.doc_id for doc in other] != [doc.doc_id for doc in few]


def test_the_command_writes_a_corpus_that_can_be_imported(
    tmp_path: Path, data: dict[str, str], drawn: list[Document]
) -> None:
    places = [word for source, place in data.items() for word in ("--data", f"{source}={place}")]
    out = tmp_path / "documents.jsonl"
    run = CliRunner().invoke(cli.main, ["corpus", "sample", "--out", str(out), *places])
    assert run.exit_code == 0
    assert "550 documents" in run.stdout
    assert read_corpus(out) == drawn


def test_the_printed_recipe_is_the_one_that_is_used(tmp_path: Path) -> None:
    run = CliRunner().invoke(cli.main, ["corpus", "recipe"])
    (tmp_path / "mine.toml").write_text(run.stdout, encoding="utf-8")
    assert read_recipe(tmp_path / "mine.toml") == read_recipe(PAPER)


# Refusals of recipes

PART = 'source = "s"\ndata = "."\nfiles = "*.jsonl"\ncount = 1\ntext = "{a}"\n'


@pytest.mark.parametrize(
    ("recipe", "refusal"),
    [
        ("seed = ", "is not TOML"),
        ("seed = 0", r"needs a seed from 0 and at least one \[\[part\]\]"),
        (f"seed = -1\n[[part]]\n{PART}", "needs a seed from 0"),
        (f"[[part]]\n{PART}[[part]]\n{PART}", "the source 's' stands there twice"),
        (f"[[part]]\n{PART}cuont = 1\n", "part 1 has an unknown field 'cuont'"),
        (f"[[part]]\n{PART}".replace("count = 1\n", ""), "part 1 has no count"),
        (f"[[part]]\n{PART}".replace("= 1", "= true"), "count must be a whole number from 0"),
        (f"[[part]]\n{PART}".replace('"."', "3"), "data must be a string, got 3"),
        (f"[[part]]\n{PART}".replace("{a}", "[[{a}"), "never closes it"),
        (f"[[part]]\n{PART}rows = '('\n", "rows is no regular expression"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(
    write: Callable[..., Path], recipe: str, refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        read_recipe(write("r.toml", recipe))


def draw(folder: Path, **change: Any) -> list[Document]:
    part = Part("s", str(folder), "*", 2, "{a}")
    [(_, docs)] = sample(Recipe(0, [replace(part, **change)]))
    return docs


def test_equal_texts_count_once_and_too_few_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"a": "x"}\n{"a": "x"}\n\n{"a": "y"}\n')
    assert {doc.text for doc in draw(tmp_path)} == {"x", "y"}
    with pytest.raises(InputError, match=r"s: 2 distinct texts in 3 rows of .*, 3 are wanted"):
        draw(tmp_path, count=3)
    assert draw(tmp_path, count=0) == []


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("d.jsonl", '{"b": "x"}\n', "d.jsonl row 1 does not fit the template: it has no a, but b"),
        ("d.jsonl", "x\n", "d.jsonl line 1 is not JSON"),
        ("d.json", '{"a": 1}', "must be a list of objects"),
        ("d.json", "[3]", "row 1 must be an object, got int"),
        ("d.bin", "x", r"d.bin is none of \.parquet, \.jsonl"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, content: str, refusal: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=refusal):
        draw(tmp_path)


def test_a_glob_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file in .* is like 'x-'"):
        draw(tmp_path, files="x-")


def test_data_that_are_no_folder_are_asked_of_the_hub_and_only_the_files_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    (tmp_path / "d.jsonl").write_text('{"a": "x"}\n')
    asked: dict[str, Any] = {}

    def snapshot(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    [doc] = draw(Path("org/name"), count=1, files="*.jsonl", revision="v2")
    assert doc.text == "x"
    assert asked == {
        "name": "org/name",
        "repo_type": "dataset",
        "revision": "v2",
        "allow_patterns": "*.jsonl",
    }


def test_without_the_hub_a_refusal_says_how_to_name_a_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", _no_network)
    with pytest.raises(InputError, match=r"'org/name' is no folder .*--data s=FOLDER"):
        draw(Path("org/name"))


def _no_network(*_: object, **__: object) -> str:
    raise OSError("no network")


def test_a_change_of_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no source 'mlmu'; it has mmlu, gsm8k"):
        recipes.read_recipe(PAPER).with_changes({"mlmu": 3}, {})


@pytest.mark.parametrize("option", ["--count mmlu", "--count mmlu=x", "--data mmlu"])
def test_a_change_that_is_not_written_as_one_is_wrong_usage(option: str, tmp_path: Path) -> None:
    words = ["corpus", "sample", "--out", str(tmp_path / "o"), *option.split()]
    run = CliRunner().invoke(cli.main, words)
    assert run.exit_code == 2
    assert "SOURCE=" in run.stderr
