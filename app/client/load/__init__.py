"""Load generation: a small HTTP client with one connection, and an open loop at a fixed rate. Callers judge which
answers are right.
"""
