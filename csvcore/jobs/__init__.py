"""The queue of long work, and what a job is."""
