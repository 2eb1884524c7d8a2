"""What a person reads in a browser: the page, the model card, the list of addresses."""
