"""Neighbours of neighbours: re-ranking, Jaccard distance, query expansion."""
