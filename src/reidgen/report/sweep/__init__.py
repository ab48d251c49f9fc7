"""The part of the page about a sweep, with what the sources published beside it."""
