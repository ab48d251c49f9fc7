"""Queries against a gallery: how it is ranked, shown and believed."""
