import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from csvcore.forecasting.power_laws import EXPONENTS, fit_power_laws

N = np.repeat([1e7, 3e7, 9e7, 2.7e8], 5)
D = np.tile(np.geomspace(1e8, 1e10, 5), 4)


@pytest.mark.parametrize("shape", ["size and tokens", "compute"])
def test_a_law_with_exponents_of_the_grid_is_found_and_extrapolates(shape: str) -> None:
    a, b = EXPONENTS[9], EXPONENTS[12] if shape == "size and tokens" else EXPONENTS[9]

    def law(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        if shape == "compute":
            return 0.5 + 40.0 * (n * d / 1e9) ** -a
        return 0.5 + 3.0 * (n / 1e7) ** -a + 2.0 * (d / 1e8) ** -b

    y = law(N, D)[None]
    fitted = fit_power_laws(y, y**-2, N, D, shape)
    far_n, far_d = np.array([3e9, 1e7]), np.array([1e12, 1e11])
    assert np.allclose(fitted.predict(N, D)[0], y[0], rtol=1e-5)
    assert np.allclose(fitted.predict(far_n, far_d)[0], law(far_n, far_d), rtol=1e-3)


def test_terms_are_those_of_scipy_at_the_chosen_exponents() -> None:
    rng = np.random.default_rng(1)
    y = 1.0 + rng.random((3, N.size)) + (N / 1e7) ** -0.4
    weight = 0.5 + rng.random((3, N.size))
    fitted = fit_power_laws(y, weight, N, D, "size and tokens")
    for row in range(3):
        a, b = fitted.exponents[row]
        columns = np.stack(
            [
                np.exp(-a * (np.log(N) - fitted.centre[0])),
                np.exp(-b * (np.log(D) - fitted.centre[1])),
                np.ones(N.size),
            ],
            axis=1,
        )
        root = np.sqrt(weight[row])
        second = lsq_linear(columns * root[:, None], y[row] * root, bounds=(0, np.inf), tol=1e-12)
        ours = np.sum(weight[row] * (fitted.predict(N, D)[row] - y[row]) ** 2)
        assert ours <= 2.0 * second.cost * (1 + 1e-6)


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=N.size, max_size=N.size),
    st.sampled_from(["size and tokens", "compute"]),
    st.booleans(),
)
def test_terms_are_never_negative_and_more_of_everything_never_raises_a_quantity(
    values: list[float], shape: str, floor: bool
) -> None:
    y = np.array([values])
    fitted = fit_power_laws(y, y**-2, N, D, shape, floor)
    assert (fitted.terms >= 0).all()
    assert floor or fitted.terms[0, 2] == 0.0
    more = fitted.predict(N * 2, D * 3)
    assert (more <= fitted.predict(N, D) * (1 + 1e-12)).all()


def test_models_without_weight_make_no_difference() -> None:
    y = 0.5 + (N / 1e7)[None] ** -0.3
    weight = np.ones_like(y)
    weight[0, 3] = 0.0
    wild = y.copy()
    wild[0, 3] = 1e6
    one, other = (fit_power_laws(part, weight, N, D, "compute") for part in (y, wild))
    assert np.array_equal(one.terms, other.terms)
