"""Three small texts with five models and three fits, for the Salience page."""

from streamlit.testing.v1 import AppTest

from csvcore.records import Document, Fit, Prediction

DOCS = [
    Document("sum-1", "sums", "2 plus 6 = 8.", ((11, 12),)),
    Document("=sum-2", "sums", 'A <script>😀 "x"\n'),
    Document("note", "notes", "Ann sat. The cat Ann saw."),
]
MODELS = ["ant", "bee", "cow", "dog", "elk"]
TASKS = ("adding", "reading", "whole")
LONG = "x" * 60 + "\u2026"  # what a message repeats of a long word
SIDES = ["train", "train", "train", "validation", "test"]


def fit_of(task: str) -> Fit:
    placed = [
        Prediction(model, side, 1.0 + k / 10, 0.8 - k / 10, 0.8 - k / 9, 0.0, 1.0)
        for k, (model, side) in enumerate(zip(MODELS, SIDES, strict=True))
    ]
    return Fit(
        f"{task}-fit", "small", "sides", task, "csv", -1.0, 1.0, 0.0, 0, 0.0,
        {"train": 3, "validation": 1, "test": 1}, {"train": 0.01, "validation": 0.01}, {},
        tuple(placed),
    )  # fmt: skip


def opened(app: AppTest) -> AppTest:
    app.run()
    app.switch_page("dashboard/pages/salience.py").run()
    assert not app.exception
    return app
