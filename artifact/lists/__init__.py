"""Files that list images, CSV and Parquet, by the rules that both stages share. Reads no image."""
