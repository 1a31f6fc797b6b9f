"""Errors of evaluating a subset of items, for docs/related.md: python benchmarks/item_subsets.py.

On the bundled zoo, split by-size: items are chosen on train and validation models, and the
accuracies of test models are predicted from their answers to these alone: anchors after
tinyBenchmarks, p-IRT on the anchors, and metabench's subset. Random items are exact, see
csvcore.analysis.items_worth.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from csvcore.analysis.item_response import choose_informative, fit_items
from csvcore.analysis.item_subsets import choose_anchors

ZOO = Path(__file__).parents[1] / "data" / "zoo"
SIZES = (5, 10, 20, 50, 100, 200)


def main() -> None:
    """Print a row for each task and number of items."""
    side = pd.read_csv(ZOO / "splits" / "by-size.csv").set_index("model")["split"]
    items = pd.read_parquet(ZOO / "items.parquet")
    print("task,n_items,anchors,p_irt,metabench,random")
    for task, rows in items.groupby("task", observed=True):
        table = rows.pivot(index="model", columns="item", values="correct").astype(float)
        table = table.loc[table.index.intersection(side.index)]
        tested = (side.loc[table.index] == "test").to_numpy()
        correct = table.to_numpy()
        accuracy, n_all = correct.mean(axis=1)[tested], correct.shape[1]
        spread = np.mean(accuracy * (1 - accuracy))
        known, new = correct[~tested], correct[tested]
        response, _ = fit_items(known)
        for n_items in SIZES:
            anchors = choose_anchors(known, n_items, np.random.default_rng(0))
            predicted = (
                anchors.predict(new),
                response.accuracies(new, anchors.item),
                choose_informative(known, n_items).predict(new),
            )
            errors = [np.square(one - accuracy).mean() for one in predicted]
            random = spread / n_items * (n_all - n_items) / (n_all - 1)
            print(
                f"{task},{n_items}," + ",".join(f"{e:.1e}" for e in (*errors, random)), flush=True
            )


if __name__ == "__main__":
    main()
