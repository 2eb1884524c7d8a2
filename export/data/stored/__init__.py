"""Labeled data sets in files: manifests, Parquet, tars; their split; a cache of decoded pixels."""
