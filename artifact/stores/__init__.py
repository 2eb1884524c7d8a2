"""Repositories that are no folders: buckets, web servers and the Hugging Face hub. Lists what is there, copies a
version whole or not at all, and writes; knows neither stage. obstore and huggingface_hub are imported once a store is
opened.
"""
