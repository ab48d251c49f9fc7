"""The filter that asks a detector whether there is a person."""
