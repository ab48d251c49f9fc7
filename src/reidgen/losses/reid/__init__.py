"""Losses of re-ID trainings with labels: classifiers and comparisons of crops."""
