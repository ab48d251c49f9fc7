"""Generators of people: how each is trained and sampled."""
