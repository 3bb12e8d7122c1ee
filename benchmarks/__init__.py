"""Benchmarks: ratios against rivals that run side by side. `nox -s bench`."""
