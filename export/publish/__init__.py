"""From a source to an artifact in a repository, and back from there."""
