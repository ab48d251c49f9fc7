"""Real people in a generator's latent space: search, encoder, tuned generators."""
