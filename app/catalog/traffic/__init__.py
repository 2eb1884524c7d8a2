"""What names in requests mean, what runs beside them, and how that changes. Knows no model: only names of models."""
