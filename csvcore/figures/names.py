"""Names of methods and nulls for people, the same on pages, in figures and in reports."""

METHOD_NAMES = {
    "csv": "CSV",
    "all-token": "All tokens",
    "label-token": "Label tokens",
    "source-token": "Tokens of the task's source",
    "best-source": "Best single source",
}


NULL_NAMES = {
    "train-mean": "Mean of the train models",
    "sibling": "Nearest checkpoint or smaller sibling",
    "compute": "Training compute",
    "best-constant": "Best constant (knows the test)",
}
