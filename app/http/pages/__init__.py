"""HTML pages: the demo page, the model card, the API documentation."""
