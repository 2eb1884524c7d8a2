"""Load and in-process benchmarks: run from a checkout, never as tests."""
