"""Filters that look at features of a network: who it is, how real, how new."""
