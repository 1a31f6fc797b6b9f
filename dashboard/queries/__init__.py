"""Cached reads; the only part of the dashboard that opens the database."""
