"""Data sets and weights: where they come from, their digests, the cache."""
