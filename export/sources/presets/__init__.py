"""--like: reads image options from other libraries' configuration files, one module per library; what isn't supported
is refused.
"""
