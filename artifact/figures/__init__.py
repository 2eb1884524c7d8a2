"""What a card says in numbers: of accuracy, of fewer bits, of damaged images, and how sure one can be of a share."""
