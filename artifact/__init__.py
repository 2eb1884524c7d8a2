"""The artifact: what both stages know of a published network, and the way from encoded bytes to its pixels.

Reads and writes cards, version folders and golden images; knows neither stage, no HTTP and no ONNX Runtime.
"""
