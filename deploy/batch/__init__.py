"""Many images at rest, cut into blocks: what is in each, what becomes of it, and which are done. Knows no Ray."""
