"""Batch inference over stored images in blocks: input, answers, and which blocks are done. Knows no Ray."""
