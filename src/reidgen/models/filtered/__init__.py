"""Leaky ReLU between filters, in several equal and fast forms (Karras et al. 2021)."""
