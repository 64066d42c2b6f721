"""Scenes: a few images that define one transport problem."""
