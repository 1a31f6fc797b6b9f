import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.formats.csv_tables import (
    corpus_sha256,
    read_accuracies,
    read_corpus,
    read_models,
    read_split,
    read_tasks,
)
from csvcore.records import Accuracy, Document, ModelCard, Task

Write = Callable[[str, str | bytes], Path]

READERS = {
    "models.csv": (read_models, "model,family\na,A\n"),
    "tasks.csv": (read_tasks, "task,chance\nmmlu,0.25\n"),
    "accuracies.csv": (lambda path: read_accuracies([path]), "model,task,accuracy\na,mmlu,0.5\n"),
    "split.csv": (read_split, "model,split\na,train\n"),
}
each_table = pytest.mark.parametrize("name", READERS)


def line(**fields: object) -> str:
    return json.dumps({"doc_id": "d1", "source": "quiz", "text": "2+2=4"} | fields)


def accuracies(write: Write, *rows: str) -> list[Accuracy]:
    header = "model,task,accuracy,n_items"
    return read_accuracies([write("accuracies.csv", "\n".join([header, *rows]))])


# By hand


def test_the_identity_of_a_corpus_is_the_contracts_formula(write: Write) -> None:
    second = line(doc_id="d2", text='é 🙂 "x"')
    path = write("documents.jsonl", f"{line()}\n{second}\n")
    canonical = '["d1","quiz","2+2=4"]\n["d2","quiz","é 🙂 \\"x\\""]\n'
    expected = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    assert corpus_sha256(read_corpus(path)) == expected


def test_result_spans_are_read_and_leave_the_identity_of_a_corpus_as_it_is(write: Write) -> None:
    plain = read_corpus(write("documents.jsonl", line()))
    docs = read_corpus(write("documents.jsonl", line(results=[[4, 5]])))
    assert docs == [Document("d1", "quiz", "2+2=4", plain[0].answers, ((4, 5),))]
    assert corpus_sha256(docs) == corpus_sha256(plain)
    with pytest.raises(InputError, match=r"result span \[4, 6\] must be \[start, end\]"):
        read_corpus(write("documents.jsonl", line(results=[[4, 6]])))


def test_a_corpus_is_read_in_file_order_with_its_answers(write: Write) -> None:
    rows = [line(doc_id="z", answers=[[0, 1], [4, 5]], note="ignored"), "", line(answers=None)]
    docs = read_corpus(write("documents.jsonl", "\n".join(rows)))
    assert docs == [
        Document("z", "quiz", "2+2=4", ((0, 1), (4, 5))),
        Document("d1", "quiz", "2+2=4"),
    ]


def test_model_cards_keep_what_is_known_and_ignore_other_columns(write: Write) -> None:
    path = write(
        "models.csv",
        "family,model,n_params,train_tokens,stage,step,license,origin,colour,run\n"
        "Pythia,pythia-70m,70000000,3e11,base,143000,apache-2.0,EleutherAI,blue,seed2\n"
        "Closed, closed-1 ,,,,0,,,,\n",
    )
    assert read_models(path) == [
        ModelCard(
            "pythia-70m",
            "Pythia",
            70_000_000,
            3 * 10**11,
            "base",
            143_000,
            "apache-2.0",
            "EleutherAI",
            "seed2",
        ),
        ModelCard("closed-1", "Closed", step=0),
    ]


def test_columns_of_cards_that_are_not_read_are_named_without_what_steers_a_terminal(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    others = [f"x{at}" for at in range(6)]
    names = ",".join(["n_tokens", "a\x1b[31m", *others])
    read_models(write("models.csv", f"model,family,{names}\na,A,1,2{',3' * 6}\n"))
    assert "'n_tokens', 'a\\x1b[31m', 'x0', 'x1', 'x2' and 3 more" in caplog.text
    assert "train_tokens" in caplog.text and "\x1b" not in caplog.text
    caplog.clear()
    read_models(write("models.csv", "model,family,train_tokens\na,A,1\n"))
    assert caplog.text == ""


def test_tasks_accuracies_and_splits_are_read(write: Write) -> None:
    tasks = "task,chance,title,sources\nmmlu,0.25,MMLU,quiz geo\ngsm8k,0,,\n"
    assert read_tasks(write("tasks.csv", tasks)) == [
        Task("mmlu", 0.25, "MMLU", ("quiz", "geo")),
        Task("gsm8k", 0.0),
    ]
    assert accuracies(write, "a,mmlu,0.573,14042", "b,mmlu,1,", "c,mmlu,0,") == [
        Accuracy("a", "mmlu", 0.573, 14_042),
        Accuracy("b", "mmlu", 1.0),
        Accuracy("c", "mmlu", 0.0),
    ]
    split = write("split.csv", "model,split\nb,test\na,train\n")
    assert read_split(split) == {"b": "test", "a": "train"}


def test_of_exported_splits_the_named_one_is_read(write: Write) -> None:
    split = write("splits.csv", "split,model,side\none,a,train\ntwo,a,test\ntwo,b,train\n")
    assert read_split(split, "two") == {"a": "test", "b": "train"}
    with pytest.raises(InputError, match=r"splits.csv has no split 'mine', but one, two"):
        read_split(split, "mine")


def test_a_quoted_cell_keeps_its_commas_and_its_line_breaks(write: Write) -> None:
    title = "Maths, hard\nand\u2028long"
    path = write("tasks.csv", f'task,chance,title\nm,0,"{title}"\nn,0,a\u2028b\n')
    assert [task.title for task in read_tasks(path)] == [title, "a\u2028b"]


# Properties


@each_table
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(write: Write, name: str) -> None:
    reader, text = READERS[name]
    plain = reader(write(name, text))
    assert len(plain) == 1
    marked = "\ufeff" + text.replace("\n", "\r\n")
    assert reader(write(name, marked)) == plain


def test_a_corpus_with_a_byte_order_mark_is_the_same_corpus(write: Write) -> None:
    plain = read_corpus(write("documents.jsonl", line()))
    assert read_corpus(write("documents.jsonl", f"\ufeff{line()}\r\n")) == plain


documents = st.lists(
    st.builds(Document, st.text("abé", min_size=1), st.text("qr", min_size=1), st.text(min_size=1)),
    min_size=1,
    max_size=5,
    unique_by=lambda doc: doc.doc_id,
)


@given(docs=documents)
def test_documents_survive_a_file_whatever_their_text(
    tmp_path_factory: pytest.TempPathFactory, docs: list[Document]
) -> None:
    path = tmp_path_factory.mktemp("corpus") / "documents.jsonl"
    rows = [line(doc_id=doc.doc_id, source=doc.source, text=doc.text) for doc in docs]
    path.write_text("\n".join(rows), encoding="utf-8")
    assert read_corpus(path) == docs


def test_another_order_text_source_or_name_is_another_corpus_but_answers_are_not() -> None:
    one, two = Document("a", "s", "x"), Document("b", "s", "y")
    others = [[two, one], [one], [one, Document("b", "s", "z")], [one, Document("b", "t", "y")]]
    others += [[one, Document("c", "s", "y")], [one, two]]
    assert len({corpus_sha256(docs) for docs in others}) == 6
    assert corpus_sha256([Document("a", "s", "x", ((0, 1),))]) == corpus_sha256([one])


def test_an_accuracy_said_twice_alike_counts_once(write: Write) -> None:
    assert accuracies(write, "a,mmlu,0.5,100", "a,mmlu,0.50,100") == [
        Accuracy("a", "mmlu", 0.5, 100)
    ]


# Refusals


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"documents\.jsonl line 2 is not JSON: "),
        ("[1]", "line 2 must be a JSON object, got list"),
        ('{"doc_id": "d2", "source": "s"}', "line 2: text must be a string that is not empty"),
        (line(doc_id=""), "line 2: doc_id must be a string that is not empty"),
        (line(doc_id="d2", source=7), "line 2: source must be a string that is not empty"),
        (line(), "line 2: doc_id 'd1' stands there twice"),
        (line(doc_id="d2", text="\ud800"), "line 2: the text has a lone surrogate and no UTF-8"),
        (line(doc_id="\ud800"), "line 2: the doc_id has a lone surrogate and no UTF-8"),
        (
            line(doc_id="d2", source="\ud800"),
            "line 2: the source has a lone surrogate and no UTF-8",
        ),
        (line(doc_id="d2", answers=[[3, 6]]), r"span \[3, 6\] must be .* <= 5 characters"),
        (line(doc_id="d2", answers=[[2, 2]]), r"span \[2, 2\] must be \[start, end\]"),
        (line(doc_id="d2", answers=[[-1, 2]]), r"span \[-1, 2\] must be \[start, end\]"),
        (line(doc_id="d2", answers=[[0, 1, 2]]), r"span \[0, 1, 2\] must be \[start, end\]"),
        (line(doc_id="d2", answers=[[0, True]]), r"span \[0, True\] must be \[start, end\]"),
        (line(doc_id="d2", answers=["ab"]), r"span 'ab' must be \[start, end\]"),
        (line(doc_id="d2", answers=5), r"line 2: answers must be a list of \[start, end\], got 5"),
    ],
)
def test_a_line_that_is_no_document_is_refused(write: Write, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_corpus(write("documents.jsonl", f"{line()}\n{row}\n"))


def test_a_corpus_without_documents_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="has no documents; give one JSON object a line"):
        read_corpus(write("documents.jsonl", "\n \n"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,mmlu,57.3,", "line 2: accuracy 57.3 is above 1; this looks like percent, give a frac"),
        ("a,mmlu,1.01,", r"line 2: accuracy 1\.01 is above 1; this looks like percent"),
        ("a,mmlu,-0.1,", r"line 2: accuracy -0\.1 is below 0; give a fraction"),
        ("a,mmlu,high,", "line 2: accuracy must be a number, got 'high'"),
        ("a,mmlu,nan,", "line 2: accuracy must be finite, got 'nan'"),
        ("a,mmlu,,", "line 2: accuracy is empty"),
        ("a,,0.5,", "line 2: task is empty"),
        ("a,mmlu,0.5,1.5", r"line 2: n_items must be a whole number from 1, got '1\.5'"),
        ("a,mmlu,0.5,-1", "line 2: n_items must be a whole number from 1, got '-1'"),
        ("a,mmlu,0.5,0", "line 2: n_items must be a whole number from 1, got '0'"),
        ("a,mmlu,0.5,1e30", "line 2: n_items must be a whole number from 1, got '1e30'"),
        ("a,mmlu,0.5", "line 2 does not have 4 fields"),
        ("a,mmlu,0.5,9,9", "line 2 does not have 4 fields"),
        ('a,mmlu,0.5,"9', "line 2 is not CSV: "),
    ],
)
def test_a_row_that_is_no_accuracy_is_refused(write: Write, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        accuracies(write, row)


@pytest.mark.parametrize(
    ("again", "message"),
    [
        ("a,mmlu,0.6,100", r"line 3: a on mmlu .* different values, 0.5 \(100 items\) and 0.6 \("),
        ("a,mmlu,0.5,200", r"different values, 0.5 \(100 items\) and 0.5 \(200 items\)"),
        ("a,mmlu,0.50000001,100", r"and 0.50000001 \(100 items\)"),
        ("a,mmlu,0.5,", r"different values, 0.5 \(100 items\) and 0.5$"),
    ],
)
def test_an_accuracy_said_twice_unlike_is_refused_and_both_are_shown(
    write: Write, again: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        accuracies(write, "a,mmlu,0.5,100", again)


def test_an_accuracy_said_unlike_in_two_files_names_the_second(write: Write) -> None:
    files = [
        write(f"{name}.csv", f"model,task,accuracy\na,mmlu,{value}\n")
        for name, value in [("one", 0.5), ("two", 0.6)]
    ]
    with pytest.raises(InputError, match=r"two\.csv line 2: a on mmlu stands there twice"):
        read_accuracies(files)


@pytest.mark.parametrize("chance", ["1", "25", "-0.1"])
def test_a_chance_that_is_no_fraction_is_refused(write: Write, chance: str) -> None:
    path = write("tasks.csv", f"task,chance\nmmlu,{chance}\n")
    with pytest.raises(InputError, match=rf"chance is a fraction in \[0, 1\), got {chance}"):
        read_tasks(path)


@pytest.mark.parametrize("name", ["models.csv", "tasks.csv", "split.csv"])
def test_a_name_given_twice_is_refused(write: Write, name: str) -> None:
    reader, text = READERS[name]
    doubled = text + text.splitlines()[1] + "\n"
    with pytest.raises(InputError, match=rf"{name}: the \w+ '\w+' stands there twice"):
        reader(write(name, doubled))


@each_table
def test_a_table_that_cannot_be_read_is_refused(write: Write, name: str) -> None:
    reader, text = READERS[name]
    header = text.splitlines()[0]
    first, last = header.split(",")[0], header.split(",")[-1]
    for content, message in [
        ("", f"{name} is empty; it needs the columns {first}, "),
        (text.replace(last, "other"), f"{name} lacks the column {last}"),
        (text.encode() + b"\xff", rf"{name} is not UTF-8 text \(byte {len(text)}\)"),
        (text.encode("utf-16"), f"{name} is not UTF-8 text"),
        (f'"{text}', f"{name} line 1 is not CSV: "),
        (f'"{first}"x{text}', f"{name} line 1 is not CSV: "),
    ]:
        with pytest.raises(InputError, match=message):
            reader(write(name, content))


@each_table
def test_a_column_that_is_there_twice_is_refused(write: Write, name: str) -> None:
    reader, text = READERS[name]
    last = text.splitlines()[0].split(",")[-1]
    doubled = "\n".join(f"{row},{row.split(',')[-1]}" for row in text.splitlines())
    with pytest.raises(InputError, match=f"{name} has the column '{last}' twice, and one would be"):
        reader(write(name, doubled))


@each_table
def test_another_separator_is_named_and_so_are_the_columns_there_are(
    write: Write, name: str
) -> None:
    reader, text = READERS[name]
    header = text.splitlines()[0]
    for content, message in [
        (text.replace(",", ";"), f"{name} is separated by ';', csvcore reads commas; save it"),
        (text.replace(",", "\t"), f"{name} is separated by tabs, csvcore reads commas; save it"),
        (text.replace(header, header.upper()), f"it has {header.split(',')[0].upper()}, .*capit"),
    ]:
        with pytest.raises(InputError, match=message):
            reader(write(name, content))
    assert reader(write(name, text.replace(",", " , "))) == reader(write(name, text))


@each_table
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    reader, _ = READERS[name]
    with pytest.raises(InputError, match=f"there is no file .*{name}"):
        reader(tmp_path / name)
