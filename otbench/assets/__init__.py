"""Data sets and weights: where they come from, their digests, the cache.

- ``catalogue``: the named assets, each with its files, their sha256 and its sources.
- ``sources``: a mirror, a user's folder, an installed package; ``carriers``: registry packages.
- ``convert``: from what a carrier holds to the file in use.
- ``store``: the cache; ``store.require(name)`` is all that most callers need.
"""
