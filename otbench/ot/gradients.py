"""Potentials on batches of points, and their gradients, in JAX."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Potential = Callable[[Array], Array]
"""Maps points (n, d) to values (n,); each value depends on its own row only."""


def value_and_gradient(potential: Potential, x: Array) -> tuple[Array, Array]:
    """Return values (n,) and gradients (n, d) at x (n, d)."""
    value, pullback = jax.vjp(potential, x)
    return value, pullback(jnp.ones_like(value))[0]


def gradient_of(potential: Potential) -> Callable[[Array], Array]:
    """Return the map grad f, (n, d) to (n, d), of a batched potential."""
    return lambda x: value_and_gradient(potential, x)[1]


def dot(a: Array, b: Array) -> Array:
    """Return the inner products of rows."""
    return jnp.sum(a * b, axis=-1)
