"""Optimal-transport numerics that tasks and methods share."""

import os

# JAX would otherwise take most of a GPU's memory on its first use and leave torch without.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
