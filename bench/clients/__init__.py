"""Clients of other projects, unmodified, against a service: each script is run by an environment of its own."""
