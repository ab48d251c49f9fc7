"""Figures over seeds: their spread, and whether a difference is real."""
