"""Benchmarks: each writes rows of JSON to docs/results; `tables` makes the documents from them."""
