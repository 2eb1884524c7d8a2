"""The commands that ask a service: predict, models, bench, tune. They use a service's HTTP addresses or, of an app in
this process, its admission.
"""
