"""Statistics of fits and predictions: pure functions on arrays and records."""
