"""Labeled sets as they are stored: manifests, Parquet, tars; how they are divided; a cache of decoded pixels."""
