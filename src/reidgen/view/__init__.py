"""A local page to look through tables and run folders, and to decide in."""
