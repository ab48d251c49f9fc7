"""Re-ID networks: what stands on a backbone, and layers of their own."""
