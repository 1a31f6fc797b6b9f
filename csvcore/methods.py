"""Names of methods and nulls for people, the same on pages, in figures and in reports."""

from csvcore.analysis.comparison import Verdict

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


def verdict_label(said: Verdict) -> str:
    """Return a verdict in a few words, as a table has room for."""
    if said.word == "worse":
        how = "significantly better" if said.significant else "better, not significant"
        return f"{NAMES[said.rival]} {how}"
    return "significantly better" if said.word == "better" else "better, not significant"


def verdict_sentence(said: Verdict) -> str:
    """Return a verdict as a sentence that names the rival, and as another what was left out."""
    everything, rival = "all other methods and trivial baselines", NAMES[said.rival]
    told = {
        "better": f"CSV is significantly better than {everything}; the closest is {rival}.",
        "unsure": f"CSV is better than {everything}, but not significantly better than {rival}.",
        "worse": f"CSV is not the best: {verdict_label(said)}.",
    }[said.word]
    return " ".join([told, *map(left_out_sentence, said.left_out)])


def left_out_sentence(method: str) -> str:
    """Return why a method is no rival on validation models."""
    return f"{NAMES[method]} is left out: it was chosen on the validation models."
