"""HTTP: translation between requests and the parts below, no logic of its own."""
