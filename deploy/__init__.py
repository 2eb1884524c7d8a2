"""How the service runs elsewhere: in containers, on Kubernetes, over several machines with Ray."""
