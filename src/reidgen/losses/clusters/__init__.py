"""Losses of trainings without labels: clusters, cameras and parts take the place of labels."""
