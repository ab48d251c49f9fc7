"""The part of the page about a sweep, with what the thesis published beside it."""
