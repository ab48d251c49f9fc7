"""The parts of the page, each about one kind of run."""
