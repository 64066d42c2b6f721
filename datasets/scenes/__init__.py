"""Scenes: a few images that pose one transport problem."""
