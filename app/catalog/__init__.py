"""The models of a repository: which there are, which are loaded, what aliases mean, how changes are followed. Knows no
HTTP.
"""
