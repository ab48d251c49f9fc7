"""Rays against bodies and places, as warp kernels."""
