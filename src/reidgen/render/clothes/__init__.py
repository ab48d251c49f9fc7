"""Clothes and things that are carried, cut to a body."""
