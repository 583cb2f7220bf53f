"""Benchmarks: tables of figures, run by hand with `make bench`."""
