"""Parses the containers of image files, one module per format, without decoding.

Segments, chunks and frames are counted against the limits, the orientation is read, and the file is rewritten without
metadata, so that decoders see only pixels.
"""
