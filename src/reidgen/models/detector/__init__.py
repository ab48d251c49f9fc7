"""Networks that find people and their key points."""
