"""Generators that start from other weights: of another size, or of another program."""
