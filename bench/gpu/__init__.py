"""The GPU proven by one command, on a machine that needs neither TensorFlow nor a network: docs/gpu.md says how."""
