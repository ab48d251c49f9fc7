"""Training a re-ID network and embedding crops with it."""
