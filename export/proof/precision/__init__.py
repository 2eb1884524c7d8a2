"""The same graph in float16 or int8, judged against the untouched network. Knows nothing of how either is made."""
