"""Adversarial losses, and what keeps a generator and its discriminator stable."""
