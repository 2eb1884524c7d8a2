"""Smoke test of the images and of docker compose, with any engine: python -m deploy.smoke

Builds both images, brings compose up, posts a digit, checks what was promised, tears everything down. Only the
standard library: it runs where nothing is installed.
"""
