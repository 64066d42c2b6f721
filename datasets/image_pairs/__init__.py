"""Pairs of image collections."""
