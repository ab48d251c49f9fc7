"""Networks only: no files, no loops."""
