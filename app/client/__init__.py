"""The commands that ask a service: predict, models, bench, tune. Knows a service by its addresses; of one within this
process admission, too.
"""
