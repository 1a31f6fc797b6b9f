"""Use cases, one module per command, that read the database, compute and store."""
