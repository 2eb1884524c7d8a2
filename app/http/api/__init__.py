"""The service's own addresses."""
