"""Tables of the measured numbers in docs/evidence.md, between the marks of their names."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

Row = dict[str, Any]
METHODS = {
    "stack": "stack",
    "csv": "CSV",
    "label-probability": "answer probability",
    "rank-token": "rank tokens",
    "all-token": "all token",
    "label-token": "label token",
    "source-token": "own source",
    "best-source": "best source",
    "train-mean": "train mean",
    "sibling": "sibling",
    "compute": "compute",
    "best-constant": "best constant",
}
# Whose coverage and rank are told in words, with the columns of the others' differences to them.
JUDGED = {
    "stack": ("to_stack_low", "to_stack_high"),
    "csv": ("difference_low", "difference_high"),
}
YARDSTICK = ("all-token", "label-token", "source-token", "best-source")


def write(page: Path, folder: Path) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->` for every part measured.

    Raises:
        SystemExit: the page lacks the marks of a part.
    """
    text = page.read_text(encoding="utf-8")
    for name, (part, table) in TABLES.items():
        if not (folder / f"{part}.json").exists():
            continue
        rows = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marked.search(text):
            raise SystemExit(f"{page} lacks <!-- {name} --> and <!-- /{name} -->")
        made = table(rows).replace("\\", r"\\")
        text = marked.sub(rf"\g<1>{made}\g<2>", text)
    page.write_text(text, encoding="utf-8")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def errors(rows: Sequence[Row], split: str) -> str:
    """Test MSE of every method by task, the ratio to all-token and to the noise floor."""
    rows = [row for row in rows if row["split"] == split]
    mse = {(row["task"], row["method"]): row["test_mse"] for row in rows}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    csv = {row["task"]: row for row in rows if row["method"] == "csv"}
    lines = []
    for task in tasks:
        found = [mse.get((task, method)) for method in METHODS]
        own, floor = csv[task]["test_mse"], csv[task]["noise_floor"]
        lines.append(
            [
                f"{task} ({csv[task]['n_test']})",
                *("" if value is None else f"{value:.1e}" for value in found),
                f"{floor:.1e}",
                f"{mse[task, 'all-token'] / own:.1f}",
                f"{own / floor:.1f}",
                f"{csv[task]['p_value']:.3f}" if csv[task]["p_value"] is not None else "",
            ]
        )
    header = ["task (test models)", *METHODS.values(), "noise floor"]
    table = _table([*header, "all token / CSV", "CSV / floor", "p"], lines)
    cases = [[row for row in rows if row["task"] == task] for task in tasks]
    return table + _covered(rows) + _verdict(mse, csv) + _hindsight(cases)


def _covered(rows: Sequence[Row]) -> str:
    """Return the share of test models within the 90 % intervals of the stack and of CSV."""
    shares = []
    for method in JUDGED:
        own = [row for row in rows if row["method"] == method and row["covered"] is not None]
        n_cases = sum(row["n_test"] for row in own)
        if own:
            held = sum(row["covered"] * row["n_test"] for row in own)
            shares.append(f"{METHODS[method]} {held / n_cases:.0%} of {n_cases}")
    return f"\nTest models within the 90 % interval: {', '.join(shares)}.\n" if shares else ""


def _verdict(mse: Mapping[tuple[str, str], float], csv: Mapping[str, Row]) -> str:
    """Return a sentence each for the stack and CSV: on how many tasks what holds."""
    fair = {key: value for key, value in mse.items() if key[1] != "best-constant"}
    least = {task: min(v for (own, _), v in fair.items() if own == task) for task in csv}
    lines = []
    for method in JUDGED:
        own = {task: mse[task, method] for task in csv if (task, method) in mse}
        lower = sum(own[task] < mse[task, "all-token"] for task in own)
        fifth = sum(own[task] <= mse[task, "all-token"] / 5 for task in own)
        near = sum(own[task] <= 2 * csv[task]["noise_floor"] for task in own)
        best = sum(own[task] == least[task] for task in own)
        lines.append(
            f"{METHODS[method]}: below all-token loss on {lower} of {len(own)} tasks, at most a "
            f"fifth of it on {fifth}, within twice the noise floor on {near}, the least of all "
            f"methods and trivial baselines that know no test accuracy on {best}.\n"
        )
    return "\n" + "\n".join(line[0].upper() + line[1:] for line in lines)


def _hindsight(cases: Sequence[Sequence[Row]]) -> str:
    """Return how the stack and CSV stand to the best simple loss of each case, by test error.

    Args:
        cases: the rows of all methods of one task on one split, for each case.
    """
    parts = []
    for method, (low, high) in JUDGED.items():
        ratios, worse, better, judged = [], 0, 0, 0
        for case in cases:
            by_method = {row["method"]: row for row in case}
            simple = [by_method[name] for name in YARDSTICK if name in by_method]
            best = min(simple, key=lambda row: row["test_mse"])
            ratios.append(by_method[method]["test_mse"] / best["test_mse"])
            if best[low] is not None:
                judged += 1
                worse += best[high] < 0
                better += best[low] > 0
        parts.append(
            f"{METHODS[method]} {geometric_mean(ratios):.2f} times, significantly worse in {worse} "
            f"and better in {better} of {judged} cases"
        )
    return (
        "\nError beside the best of all token, label token, own source and best source, which is "
        f"chosen with hindsight (geometric mean): {'; '.join(parts)}.\n"
    )


def families(rows: Sequence[Row]) -> str:
    """Return the medians over the families left out, by task and method."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["row"]["task"], row["row"]["method"]), []).append(
            row["row"]["test_mse"]
        )
    tasks = list(dict.fromkeys(task for task, _ in found))
    lines = [
        [
            f"{task} ({len(found[task, 'csv'])})",
            *(f"{median(found[task, m]):.1e}" if (task, m) in found else "" for m in METHODS),
        ]
        for task in tasks
    ]
    header = ["task (families left out)", *METHODS.values()]
    every = [row["row"] for row in rows]
    cases: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cases.setdefault((row["family"], row["row"]["task"]), []).append(row["row"])
    return _table(header, lines) + _covered(every) + _hindsight(list(cases.values()))


def steps(rows: Sequence[Row]) -> str:
    """Test MSE by task and the steps the paper's loop may take."""
    counts = list(dict.fromkeys(row["steps"] for row in rows))
    mse = {(row["task"], row["steps"]): row["test_mse"] for row in rows}
    lines = [
        [task, *(f"{mse[task, count]:.1e}" for count in counts)]
        for task in dict.fromkeys(row["task"] for row in rows)
    ]
    return _table(["task", *(f"up to step {count}" for count in counts)], lines)


def mixes(rows: Sequence[Row]) -> str:
    """Return the median test MSE by number of sources, and with and without the task's own."""
    sizes = sorted({row["n_sources"] for row in rows})
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        by_size = [median(r["test_mse"] for r in own if r["n_sources"] == size) for size in sizes]
        split = [median(r["test_mse"] for r in own if r["has_own"] == has) for has in (True, False)]
        lines.append([task, *(f"{value:.1e}" for value in [*by_size, *split])])
    header = ["task", *(f"{size} of {sizes[-1]}" for size in sizes)]
    return _table([*header, "with its own", "without"], lines)


def highlights(rows: Sequence[Row]) -> str:
    """Return the mean weight of result tokens and of the others."""
    lines = [
        [
            row["source"],
            f"{row['mean_results']:.2f} ({row['n_results']})",
            f"{row['mean_others']:.2f} ({row['n_others']})",
            f"{row['mean_results'] / row['mean_others']:.1f}",
        ]
        for row in rows
    ]
    return _table(["documents", "result tokens (number)", "other tokens", "ratio"], lines)


def ablations(rows: Sequence[Row]) -> str:
    """Test MSE by setting, and the geometric mean of its ratio to the first line of its method."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    lines = []
    for setting, value in dict.fromkeys((row["setting"], row["value"]) for row in rows):
        own = {
            r["task"]: r["test_mse"] for r in rows if (r["setting"], r["value"]) == (setting, value)
        }
        lines.append(
            [setting, value, *(f"{own[task]:.1e}" if task in own else "" for task in tasks)]
        )
    return _table(["setting", "changed to", *tasks], lines)


def tried_factors(rows: Sequence[Row]) -> str:
    """Return the error on left-out models by the number of factors, the least of each number."""
    chosen = rows[0]
    least: dict[int, float] = {}
    for entry in chosen["tried"]:
        number = entry["n_factors"]
        least[number] = min(entry["cv_error"], least.get(number, entry["cv_error"]))
    errors = [f"{100 * least[number]:.1f}" for number in sorted(least)]
    table = _table(["factors", *map(str, sorted(least))], [["points", *errors]])
    return f"{table}\nChosen: {len(chosen['factors'])} factors for {len(chosen['tasks'])} tasks.\n"


def factors(rows: Sequence[Row]) -> str:
    """Return what carries each of the chosen factors, its stability and its permutation control."""
    lines = [
        [
            factor["anchor"],
            ", ".join(f"{share:.0%} {source}" for source, share in factor["sources"]),
            ", ".join(f"{kind} {mean:.1f} times the mean" for kind, mean in factor["kinds"]),
            f"{factor['stability']:.2f}",
            f"{factor['p_value']:.3f}",
        ]
        for factor in rows[0]["factors"]
    ]
    return _table(["factor", "sources", "heaviest kind", "stability", "p"], lines)


def task_factors(rows: Sequence[Row]) -> str:
    """Return each task's errors by its own head, by factors, and with few known models."""
    chosen, fewer = rows
    few = {row["task"]: row for row in chosen["few_shot"]}
    anchors = [factor["anchor"] for factor in fewer["factors"]]
    lines = []
    for own, shared in zip(chosen["tasks"], fewer["tasks"], strict=True):
        parts = [
            f"{share:.0%} {anchor}"
            for anchor, share in zip(anchors, shared["share"], strict=True)
            if share >= 0.005
        ]
        known = few[own["task"]]
        lines.append(
            [
                own["task"],
                f"{own['test_separate']:.1e}",
                f"{own['test_shared']:.1e}",
                f"{shared['test_shared']:.1e}",
                ", ".join(parts),
                f"{known['separate']:.1e}",
                f"{known['shared'] / known['separate']:.2f}",
            ]
        )
    fewer_name = f"{len(anchors)} factors"
    known = chosen["few_shot"][0]["n_known"]
    ratios = [few[row["task"]]["shared"] / few[row["task"]]["separate"] for row in chosen["tasks"]]
    header = ["task", "own head", f"{len(chosen['factors'])} factors", fewer_name]
    header += [f"made up of ({fewer_name})", f"own head, {known} known", "borrowed / own"]
    return (
        _table(header, lines)
        + f"\nMedian of borrowed / own with {known} known models: {median(ratios):.2f}.\n"
    )


TABLES: dict[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    "by-size": ("splits", lambda rows: errors(rows, "by-size")),
    "closed-source": ("splits", lambda rows: errors(rows, "closed-source")),
    "families": ("families", families),
    "steps": ("steps", steps),
    "mixes": ("mixes", mixes),
    "highlights": ("highlights", highlights),
    "ablations": ("ablations", ablations),
    "tried-factors": ("capabilities", tried_factors),
    "factors": ("capabilities", factors),
    "task-factors": ("capabilities", task_factors),
}
