"""The commands that ask a service: predict, models, bench. Knows the service only by its addresses."""
