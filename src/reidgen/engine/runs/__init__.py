"""Run folders: their record, lock, metrics and event files."""
