"""Pictures and videos of what a generator does."""
