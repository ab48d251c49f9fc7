"""Networks that find the key points of a person."""
