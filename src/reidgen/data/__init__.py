"""Tables of crops: reading, checking, writing, decoding and drawing batches."""
