"""ONNX graphs: from Keras, finished with pixel arithmetic and head, lowered in precision. Knows no repository."""
