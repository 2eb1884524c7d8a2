"""Requests of our own making: one connection of a small HTTP client, and a load at a rate of its own. What is right in
an answer, callers say.
"""
