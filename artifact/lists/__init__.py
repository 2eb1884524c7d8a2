"""Reads lists of images, CSV and Parquet, for both stages. Reads no image."""
