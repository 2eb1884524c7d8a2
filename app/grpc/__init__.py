"""The Open Inference Protocol v2 over gRPC: its messages to app/admission and back. Knows no HTTP and no queue."""
