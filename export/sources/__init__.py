"""What can be converted: runs, files of others, networks by name, each with all that its card will say."""
