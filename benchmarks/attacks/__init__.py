"""Attacks on csvcore, for `benchmarks/attack.py`; each counts what must never happen."""
