"""How near two sets of features are to each other."""
