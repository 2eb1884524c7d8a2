"""The models of a repository: what is there, what is loaded, what names mean, what changes. Knows no HTTP."""
