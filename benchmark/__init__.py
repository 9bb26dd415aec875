"""Benchmarks: a package, so that no other `benchmark` on the path is taken for it."""
