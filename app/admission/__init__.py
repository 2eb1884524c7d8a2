"""The one way from a request to a prediction: who may, which model, which places of the queue. Knows no HTTP."""
