"""Metrics, logs and traces. Knows no model and no HTTP."""
