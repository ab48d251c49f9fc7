"""Re-ID networks from crops that nobody has labelled."""
