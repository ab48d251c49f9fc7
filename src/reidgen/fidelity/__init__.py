"""How near generated crops are to real ones, with the protocol and the floor that make the figure mean something."""
