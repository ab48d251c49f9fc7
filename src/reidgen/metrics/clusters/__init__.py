"""Clusters from distances, and how far two views of the same crops agree."""
