"""HTTP: translates requests into calls of admission and the catalog, and their results into responses."""
