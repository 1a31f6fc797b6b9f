"""Programs that make the bundled zoo: documents, tasks, training, evaluation, losses."""
