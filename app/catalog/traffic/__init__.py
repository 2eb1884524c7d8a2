"""What names in requests mean, and how that changes at run time. Knows no model: only names of models."""
