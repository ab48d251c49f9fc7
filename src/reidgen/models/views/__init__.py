"""Networks that show a person as a structure wants it: who it is in part codes, how it stands in a map."""
