"""Job queue and job specifications."""
