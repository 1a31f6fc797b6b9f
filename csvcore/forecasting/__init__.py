"""Forecasts of models that are not trained yet, from their parameters and training tokens."""
