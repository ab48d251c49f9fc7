"""Translators: training them, and showing people in another camera's style and place."""
