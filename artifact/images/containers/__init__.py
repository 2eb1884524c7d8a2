"""The header walk: what a file holds beside its pixels is counted, read for the orientation, and left out.

A module a format. Each gives the same image in a file of pixels alone, so that no decoder meets metadata. Knows no
decoder.
"""
