"""The command line: parses arguments, calls the export stage, prints errors in one line."""
