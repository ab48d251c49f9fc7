"""Files of tables: which may be read, and how they are written and checked."""
