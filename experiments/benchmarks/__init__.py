"""Benchmarks of time and memory, which `experiments/benchmark_*.py` run.

`timing`, `environment`, `results`, `progress` and `flops` do not depend on distances and serve any
benchmark. aejax does not import this package. This package imports another library only when it
measures that library.
"""
