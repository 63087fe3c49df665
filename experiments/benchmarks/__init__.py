"""Benchmarks: what distances and training cost in time and memory.

`experiments/benchmark_*.py` are thin scripts over this package, which is not part of the wheel.
`timing`, `environment`, `results`, `tasks`, `child_process` and `flops` serve every benchmark.
Other libraries are imported only when they are measured.
"""
