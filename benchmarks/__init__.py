"""Benchmarks: each writes rows of JSON to docs/results; `tables` makes the documents from them."""

import sys
from pathlib import Path

# Kernels are called as in the tests: by their `machines`, `kernel_calls` and `random_nets`.
sys.path.append(str(Path(__file__).parents[1] / "tests"))
