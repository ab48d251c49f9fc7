"""One loss a file, a pure function first."""
