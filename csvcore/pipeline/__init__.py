"""The only place where computing meets storing: imports, collection of losses, fits, jobs.

Each part is loaded when it is asked for: to import a file, nobody waits for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvcore.analysis.comparison import Comparison as Comparison
    from csvcore.pipeline.collect import CollectConfig as CollectConfig
    from csvcore.pipeline.collect import Collected as Collected
    from csvcore.pipeline.collect import Collection as Collection
    from csvcore.pipeline.collect import collect as collect
    from csvcore.pipeline.collect import prepare as prepare
    from csvcore.pipeline.collect import try_out as try_out
    from csvcore.pipeline.compare import compare as compare
    from csvcore.pipeline.completions import ServerConfig as ServerConfig
    from csvcore.pipeline.completions import import_completions as import_completions
    from csvcore.pipeline.exports import export_losses as export_losses
    from csvcore.pipeline.exports import export_tables as export_tables
    from csvcore.pipeline.exports import export_weights as export_weights
    from csvcore.pipeline.exports import export_weights_dataset as export_weights_dataset
    from csvcore.pipeline.exports import token_weights as token_weights
    from csvcore.pipeline.exports import write_rows as write_rows
    from csvcore.pipeline.fit import FitConfig as FitConfig
    from csvcore.pipeline.fit import fit as fit
    from csvcore.pipeline.imports import ZOO as ZOO
    from csvcore.pipeline.imports import ZOO_CORPORA as ZOO_CORPORA
    from csvcore.pipeline.imports import import_accuracies as import_accuracies
    from csvcore.pipeline.imports import import_corpus as import_corpus
    from csvcore.pipeline.imports import import_losses as import_losses
    from csvcore.pipeline.imports import import_models as import_models
    from csvcore.pipeline.imports import import_split as import_split
    from csvcore.pipeline.imports import import_tasks as import_tasks
    from csvcore.pipeline.imports import init as init
    from csvcore.pipeline.jobs import run_job as run_job
    from csvcore.pipeline.leave_one_family_out import FamilyComparison as FamilyComparison
    from csvcore.pipeline.leave_one_family_out import leave_one_family_out as leave_one_family_out
    from csvcore.pipeline.leave_one_family_out import medians as medians
    from csvcore.pipeline.mixes import mixes as mixes
    from csvcore.pipeline.predict import newest_fits as newest_fits
    from csvcore.pipeline.predict import predict as predict
    from csvcore.pipeline.splits import make_split as make_split
    from csvcore.pipeline.splits import ready_split as ready_split
    from csvcore.report import export_figures as export_figures
    from csvcore.report import write_report as write_report
    from csvcore.saving import save_mix as save_mix

_PARTS = {
    "csvcore.analysis.comparison": "Comparison",
    "csvcore.pipeline.collect": "CollectConfig Collected Collection collect prepare try_out",
    "csvcore.pipeline.compare": "compare",
    "csvcore.pipeline.exports": "export_losses export_tables export_weights "
    "export_weights_dataset token_weights write_rows",
    "csvcore.pipeline.fit": "FitConfig fit",
    "csvcore.pipeline.imports": "ZOO ZOO_CORPORA import_accuracies import_corpus import_losses "
    "import_models import_split import_tasks init",
    "csvcore.pipeline.leave_one_family_out": "FamilyComparison leave_one_family_out medians",
    "csvcore.pipeline.mixes": "mixes",
    "csvcore.pipeline.predict": "newest_fits predict",
    "csvcore.pipeline.jobs": "run_job",
    "csvcore.pipeline.completions": "ServerConfig import_completions",
    "csvcore.pipeline.splits": "make_split ready_split",
    "csvcore.report": "export_figures write_report",
    "csvcore.saving": "save_mix",
}
_HOME = {name: part for part, names in _PARTS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """A name from its part."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Names, those that are not loaded yet among them."""
    return sorted({*globals(), *_HOME})
