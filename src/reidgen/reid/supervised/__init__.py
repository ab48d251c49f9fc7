"""Training a re-ID network on labelled crops."""
