"""Pairs of distributions of points."""
