"""Encoded bytes to the uint8 pixels that a card's image policy declares, the same for training, proof and serving."""
