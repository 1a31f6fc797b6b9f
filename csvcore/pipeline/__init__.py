"""The only place where computing meets storing: imports, collection of losses, fits, jobs."""

from csvcore.judging import Comparison
from csvcore.pipeline.collecting import (
    CollectConfig,
    Collected,
    Collection,
    collect,
    prepare,
    try_out,
)
from csvcore.pipeline.comparing import compare
from csvcore.pipeline.exporting import (
    export_losses,
    export_tables,
    export_weights,
    export_weights_dataset,
    token_weights,
    write_rows,
)
from csvcore.pipeline.fitting import FitConfig, fit
from csvcore.pipeline.importing import (
    ZOO,
    ZOO_CORPORA,
    import_accuracies,
    import_corpus,
    import_losses,
    import_models,
    import_split,
    import_tasks,
    init,
)
from csvcore.pipeline.leaving_out import FamilyComparison, leave_one_family_out, medians
from csvcore.pipeline.mixing import mixes
from csvcore.pipeline.predicting import newest_fits, predict
from csvcore.pipeline.running import run_job
from csvcore.pipeline.serving import ServerConfig, import_completions
from csvcore.pipeline.splitting import make_split, ready_split
from csvcore.reporting import export_figures, write_report
from csvcore.saving import save_mix

__all__ = [
    "ZOO",
    "ZOO_CORPORA",
    "CollectConfig",
    "Collected",
    "Collection",
    "Comparison",
    "FamilyComparison",
    "FitConfig",
    "ServerConfig",
    "collect",
    "compare",
    "export_figures",
    "export_losses",
    "export_tables",
    "export_weights",
    "export_weights_dataset",
    "fit",
    "import_accuracies",
    "import_completions",
    "import_corpus",
    "import_losses",
    "import_models",
    "import_split",
    "import_tasks",
    "init",
    "leave_one_family_out",
    "make_split",
    "medians",
    "mixes",
    "newest_fits",
    "predict",
    "prepare",
    "ready_split",
    "run_job",
    "save_mix",
    "token_weights",
    "try_out",
    "write_report",
    "write_rows",
]
