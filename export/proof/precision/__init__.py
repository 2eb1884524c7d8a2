"""Compares a graph in float16 or int8 with the fp32 graph and the untouched network."""
