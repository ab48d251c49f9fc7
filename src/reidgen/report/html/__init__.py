"""What every page is made of: markup, charts, crops."""
