"""Losses between images: pixels, features, regions, and what a search in latent space needs."""
