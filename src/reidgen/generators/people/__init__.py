"""Tables of generated people: new ones, and variants of real ones."""
