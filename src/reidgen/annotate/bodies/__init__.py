"""Bodies fitted to the key points of crops, and what they look like from other sides (extra: render)."""
