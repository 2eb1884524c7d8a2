"""The tests, in the folders of what they test; tests/makers holds what several of them, and the benchmarks, make."""
