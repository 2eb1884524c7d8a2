"""What is counted, logged and traced: names and figures. Knows no model and no HTTP."""
