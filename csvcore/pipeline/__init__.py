"""The only place where computing meets storing: imports, collection of losses, fits, jobs.

Each part is loaded when it is asked for: to import a file, nobody waits for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvcore.judging import Comparison as Comparison
    from csvcore.pipeline.collecting import CollectConfig as CollectConfig
    from csvcore.pipeline.collecting import Collected as Collected
    from csvcore.pipeline.collecting import Collection as Collection
    from csvcore.pipeline.collecting import collect as collect
    from csvcore.pipeline.collecting import prepare as prepare
    from csvcore.pipeline.collecting import try_out as try_out
    from csvcore.pipeline.comparing import compare as compare
    from csvcore.pipeline.exporting import export_losses as export_losses
    from csvcore.pipeline.exporting import export_tables as export_tables
    from csvcore.pipeline.exporting import export_weights as export_weights
    from csvcore.pipeline.exporting import export_weights_dataset as export_weights_dataset
    from csvcore.pipeline.exporting import token_weights as token_weights
    from csvcore.pipeline.exporting import write_rows as write_rows
    from csvcore.pipeline.fitting import FitConfig as FitConfig
    from csvcore.pipeline.fitting import fit as fit
    from csvcore.pipeline.importing import ZOO as ZOO
    from csvcore.pipeline.importing import ZOO_CORPORA as ZOO_CORPORA
    from csvcore.pipeline.importing import import_accuracies as import_accuracies
    from csvcore.pipeline.importing import import_corpus as import_corpus
    from csvcore.pipeline.importing import import_losses as import_losses
    from csvcore.pipeline.importing import import_models as import_models
    from csvcore.pipeline.importing import import_split as import_split
    from csvcore.pipeline.importing import import_tasks as import_tasks
    from csvcore.pipeline.importing import init as init
    from csvcore.pipeline.leaving_out import FamilyComparison as FamilyComparison
    from csvcore.pipeline.leaving_out import leave_one_family_out as leave_one_family_out
    from csvcore.pipeline.leaving_out import medians as medians
    from csvcore.pipeline.mixing import mixes as mixes
    from csvcore.pipeline.predicting import newest_fits as newest_fits
    from csvcore.pipeline.predicting import predict as predict
    from csvcore.pipeline.running import run_job as run_job
    from csvcore.pipeline.serving import ServerConfig as ServerConfig
    from csvcore.pipeline.serving import import_completions as import_completions
    from csvcore.pipeline.splitting import make_split as make_split
    from csvcore.pipeline.splitting import ready_split as ready_split
    from csvcore.reporting import export_figures as export_figures
    from csvcore.reporting import write_report as write_report
    from csvcore.saving import save_mix as save_mix

_PARTS = {
    "csvcore.judging": "Comparison",
    "csvcore.pipeline.collecting": "CollectConfig Collected Collection collect prepare try_out",
    "csvcore.pipeline.comparing": "compare",
    "csvcore.pipeline.exporting": "export_losses export_tables export_weights "
    "export_weights_dataset token_weights write_rows",
    "csvcore.pipeline.fitting": "FitConfig fit",
    "csvcore.pipeline.importing": "ZOO ZOO_CORPORA import_accuracies import_corpus import_losses "
    "import_models import_split import_tasks init",
    "csvcore.pipeline.leaving_out": "FamilyComparison leave_one_family_out medians",
    "csvcore.pipeline.mixing": "mixes",
    "csvcore.pipeline.predicting": "newest_fits predict",
    "csvcore.pipeline.running": "run_job",
    "csvcore.pipeline.serving": "ServerConfig import_completions",
    "csvcore.pipeline.splitting": "make_split ready_split",
    "csvcore.reporting": "export_figures write_report",
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
