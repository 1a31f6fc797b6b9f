"""Errors of evaluating a subset of items, for docs/related.md: python benchmarks/item_subsets.py.

On the bundled zoo, split by-size: anchors are chosen on train and validation models, and the
accuracies of test models are predicted from their answers to the anchors alone. Random items are
exact, see csvcore.analysis.items_worth.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from csvcore.analysis.item_subsets import choose_anchors

ZOO = Path(__file__).parents[1] / "data" / "zoo"
SIZES = (5, 10, 20, 50, 100, 200)


def main() -> None:
    """Print a row for each task and number of items."""
    side = pd.read_csv(ZOO / "splits" / "by-size.csv").set_index("model")["split"]
    items = pd.read_parquet(ZOO / "items.parquet")
    print("task,n_items,anchors,random")
    for task, rows in items.groupby("task", observed=True):
        table = rows.pivot(index="model", columns="item", values="correct").astype(float)
        table = table.loc[table.index.intersection(side.index)]
        tested = (side.loc[table.index] == "test").to_numpy()
        correct = table.to_numpy()
        accuracy, n_all = correct.mean(axis=1)[tested], correct.shape[1]
        spread = np.mean(accuracy * (1 - accuracy))
        for n_items in SIZES:
            rng = np.random.default_rng(0)
            predicted = choose_anchors(correct[~tested], n_items, rng).predict(correct[tested])
            error = np.square(predicted - accuracy).mean()
            random = spread / n_items * (n_all - n_items) / (n_all - 1)
            print(f"{task},{n_items},{error:.1e},{random:.1e}", flush=True)


if __name__ == "__main__":
    main()
