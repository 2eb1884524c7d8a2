"""The load benchmark: python -m bench.load."""
