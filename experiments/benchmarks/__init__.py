"""What things cost in time and memory: `experiments/benchmark_*.py` are thin scripts over this.

`timing`, `environment`, `results`, `progress` and `flops` know nothing of distances and serve any
benchmark. Nothing in aejax imports this package, and it imports other libraries' code only while
it measures them.
"""
