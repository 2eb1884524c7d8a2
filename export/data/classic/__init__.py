"""The sets that everybody knows, read from their original files."""
