"""Where a network found the evidence for a class. Knows no HTTP."""
