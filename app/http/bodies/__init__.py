"""Request bodies to images: streams within limits, forms, JSON."""
