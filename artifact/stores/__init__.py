"""Repositories that are no folders: buckets, web servers and the Hugging Face hub. Lists what is there, copies a
version whole or not at all, and writes; reads a bucket's other files, too. Knows neither stage. obstore and
huggingface_hub are imported once a store is opened.
"""
