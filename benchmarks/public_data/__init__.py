"""Parts of `python benchmarks/real_data.py`: sets of real measurements and their summary."""
