"""Rotators: training them, and showing people from sides that no camera saw."""
