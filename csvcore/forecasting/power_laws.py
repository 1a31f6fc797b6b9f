"""Power laws in parameters N and tokens D, fitted to many positive quantities at once.

    y(N, D) = E + A / N^a + B / D^b        all of E, A, B >= 0   (Chinchilla's form)
    y(C)    = E + A / C^a                  with C proportional to N D

For given exponents a law is linear in E, A and B, so the exponents are searched on a grid and the
rest is solved exactly: three numbers that may not be negative have eight sets of those that are
zero, and all sets are tried. There is no start to choose and no local minimum to fall into.
"""

from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

import numpy as np

from csvcore.records import Floats

EXPONENTS = np.geomspace(0.03, 1.2, 18)  # tried for a and for b
RIDGE = 1e-10  # of the mean diagonal, so that equal columns do not stop the solution

Shape = Literal["size and tokens", "compute"]


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """Fitted laws of several quantities.

    exponents: (n_laws, 2) of parameters and of tokens, alike in compute. terms: (n_laws, 3) as A,
    B, E in units of the centre; in compute B is 0. centre: log N and log D at which N^-a and D^-b
    are 1.
    """

    shape: Shape
    exponents: Floats
    terms: Floats
    centre: tuple[float, float]

    def predict(self, n_params: Floats, train_tokens: Floats) -> Floats:
        """Return the quantities of models, (n_laws, n_models)."""
        columns = _columns(self.shape, self.exponents, n_params, train_tokens, self.centre)
        return np.asarray(np.einsum("lmt,lt->lm", columns, self.terms))


def fit_power_laws(
    quantity: Floats,
    weight: Floats,
    n_params: Floats,
    train_tokens: Floats,
    shape: Shape,
    floor: bool = True,
) -> PowerLaws:
    """Fit the law of every quantity by weighted least squares.

    Args:
        quantity: (n_laws, n_models), positive; read only where the weight is.
        weight: (n_laws, n_models) of the squared errors, not negative.
        n_params: (n_models,).
        train_tokens: (n_models,).
        shape: of the law.
        floor: whether the law has a term E that does not vanish.
    """
    log_n, log_d = np.log(n_params), np.log(train_tokens)
    centre = (float(log_n.mean()), float(log_d.mean()))
    grid = _grid(shape)
    columns = _columns(shape, grid, n_params, train_tokens, centre)  # (n_grid, n_models, 3)
    used = [0, *([1] if shape == "size and tokens" else []), *([2] if floor else [])]
    columns = columns[:, :, used]
    observed = np.where(weight > 0, quantity, 0.0)
    squares = np.einsum("gmi,lm,gmj->lgij", columns, weight, columns, optimize=True)
    products = np.einsum("gmi,lm->lgi", columns, weight * observed, optimize=True)
    solved, cost = _solve(squares, products)
    best = cost.argmin(axis=1)
    rows = np.arange(len(quantity))
    terms = np.zeros((len(quantity), 3))
    terms[:, used] = solved[rows, best]
    return PowerLaws(shape, grid[best], terms, centre)


def _grid(shape: Shape) -> Floats:
    """Return the exponents to try, (n_grid, 2)."""
    if shape == "compute":
        return np.stack([EXPONENTS, EXPONENTS], axis=1)
    return np.array(list(product(EXPONENTS, EXPONENTS)))


def _columns(
    shape: Shape,
    exponents: Floats,
    n_params: Floats,
    train_tokens: Floats,
    centre: tuple[float, float],
) -> Floats:
    """Return N^-a, D^-b and 1, or C^-a, 0 and 1, in units of the centre: (n, n_models, 3)."""
    by_size = -exponents[:, :1] * (np.log(n_params) - centre[0])
    by_tokens = -exponents[:, 1:] * (np.log(train_tokens) - centre[1])
    one = np.ones_like(by_size)
    if shape == "compute":
        return np.stack([np.exp(by_size + by_tokens), np.zeros_like(one), one], axis=2)
    return np.stack([np.exp(by_size), np.exp(by_tokens), one], axis=2)


def _solve(squares: Floats, products: Floats) -> tuple[Floats, Floats]:
    """Minimise w'Sw - 2 p'w over w >= 0 for every S and p, by trying each set of positive terms.

    Shapes: squares (..., n, n), products (..., n); returns w (..., n) and the minimum (...).
    """
    n_terms = products.shape[-1]
    scale = np.trace(squares, axis1=-2, axis2=-1)[..., None, None] / n_terms
    squares = squares + RIDGE * np.maximum(scale, 1e-300) * np.eye(n_terms)
    solved = np.zeros_like(products)
    least = np.zeros(products.shape[:-1])
    for size in range(1, n_terms + 1):
        for kept in combinations(range(n_terms), size):
            part, side = squares[..., kept, :][..., kept], products[..., kept]
            w = np.linalg.solve(part, side[..., None])[..., 0]
            cost = np.where((w >= 0).all(axis=-1), -(w * side).sum(axis=-1), np.inf)
            better = cost < least
            least = np.where(better, cost, least)
            full = np.zeros_like(products)
            full[..., kept] = w
            solved = np.where(better[..., None], full, solved)
    return solved, least
