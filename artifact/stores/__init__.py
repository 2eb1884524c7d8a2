"""Repositories in stores: buckets, web servers and the Hugging Face hub. Lists, copies and writes versions; reads other
files of a bucket, too. obstore and huggingface_hub are imported once a store is opened.
"""
