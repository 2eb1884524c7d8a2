"""A finished graph in float16 or int8, by ONNX Runtime's own converters."""
