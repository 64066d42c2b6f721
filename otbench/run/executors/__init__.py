"""Executors, which run cells."""
