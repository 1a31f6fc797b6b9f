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

NAMES = METHOD_NAMES | NULL_NAMES
LONGEST = 32  # characters of a name that a figure has room for


def shortened(name: str) -> str:
    """A name with its middle left out where a figure has no room for it."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST // 2]}\u2026{name[1 - LONGEST // 2 :]}"
