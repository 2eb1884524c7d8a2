"""The command convserve: words of the command line to calls. Nothing below knows of it."""
