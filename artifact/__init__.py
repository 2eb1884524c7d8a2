"""What the export and the serving stage share: cards, version folders, golden images, stores, and the decoding of
images to a network's pixels. Imports neither stage, no HTTP and no ONNX Runtime.
"""
