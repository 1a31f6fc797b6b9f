"""Model cards for tests of splits."""

from hypothesis import strategies as st

from csvcore.records import ModelCard


def card(
    family: str,
    n_params: int | None,
    step: int | None = None,
    stage: str | None = None,
    run: str | None = None,
) -> ModelCard:
    parts = (family, n_params, stage, run, step)
    name = "-".join(str(part) for part in parts if part is not None)
    return ModelCard(name, family, n_params=n_params, step=step, stage=stage, run=run)


zoos = st.lists(
    st.builds(card, st.sampled_from("ABCD"), st.integers(1, 5), st.none() | st.integers(0, 3)),
    min_size=1,
    max_size=20,
    unique_by=lambda one: one.model,
)
