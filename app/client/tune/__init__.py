"""`convserve tune`: the settings with which a service answers most requests a second and keeps a p99. Starts services
as a user does, and knows them by their addresses alone.
"""
