"""Connections: uvicorn run by our own main, and the fast path beside the app."""
