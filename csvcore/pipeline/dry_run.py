"""A dry run of a collection: each model is loaded, tested and timed, and nothing is stored."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from csvcore import lm
from csvcore.collection import local, summary
from csvcore.errors import ModelError
from csvcore.pipeline.collect import Collection


@dataclass(frozen=True, slots=True)
class TriedOut:
    """The result of a dry run: a message, and the estimated seconds for the corpus."""

    model: str
    message: str
    failed: bool = False
    seconds: float | None = None


def try_out(collection: Collection) -> Iterator[TriedOut]:
    """Load each unscored model on the first device and time it on a short text."""
    device = local.devices(collection.config.device)[0]
    for planned in collection.plans:
        if planned.problem is not None:
            yield TriedOut(planned.model, planned.problem, failed=True)
        elif not planned.stored:
            work = collection.work(planned, ())
            try:
                model = lm.load(work.name, replace(work.load, device=device))
                speed = lm.tokens_per_second(model, work.batch_tokens)
            except ModelError as error:
                yield TriedOut(planned.model, str(error), failed=True)
            else:
                yield TriedOut(planned.model, summary(model), seconds=planned.total_tokens / speed)
