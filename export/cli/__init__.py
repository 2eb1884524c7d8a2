"""The command line: words to calls of the stages, one line for an error."""
