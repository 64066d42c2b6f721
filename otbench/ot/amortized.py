r"""Training of a potential by the Wasserstein-2 dual, with an amortized conjugate (Amos 2023).

Regression amortization (arXiv 2210.12153, equation 18 of the preprint's section 3.2) with the
prediction fine-tuned by L-BFGS. One joint step a batch, two optimisers, no inner loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from .conjugate import conjugate

Leaf = TypeVar("Leaf")
Parameters = dict[str, Array]
Model = Callable[[Parameters, Array], Array]
Sampler = Callable[[Array], Array]
"""Draws a batch (n, d) from a random key."""


INNER_RATE = 0.1
"""Rate of the potential's matrices over that of its vectors: Adam moves every entry by about the
rate, and a row of hundreds of entries adds up."""


class DualParameters(NamedTuple, Generic[Leaf]):
    """Parameters (or a label for each) of the potential and of the amortizer.

    The amortizer is the network that predicts the maximiser of the conjugate.
    """

    potential: dict[str, Leaf]
    amortizer: dict[str, Leaf]


@dataclass(frozen=True)
class DualTraining:
    """How the dual is trained.

    Attributes
    ----------
    potential, amortizer : callable
        ``potential(parameters, x)`` gives values (n,), ``amortizer(parameters, y)`` points (n, d).
    project : callable
        Brings the potential's parameters back to where it is convex, after each update.
    source, target : callable
        Draw batches from the two laws, traceable by JAX.
    steps : int
        Updates of both networks.
    rate, amortizer_rate : float
        Adam's rates at the start of the cosine, which ends at a hundredth.
    decays : tuple of float
        Adam's two.
    tolerance, iterations : float, int
        Where the conjugate solver of a training step stops; see `conjugate`.
    memory, change_basis
        Passed to `conjugate`.
    """

    potential: Model
    amortizer: Model
    project: Callable[[Parameters], Parameters]
    source: Sampler
    target: Sampler
    steps: int
    rate: float
    amortizer_rate: float
    decays: tuple[float, float] = (0.9, 0.99)
    tolerance: float = 0.1
    iterations: int = 10
    memory: int = 5
    change_basis: Callable[[Array], Array] = lambda r: r


def dual_losses(
    training: DualTraining, parameters: DualParameters[Array], x: Array, y: Array
) -> tuple[Array, dict[str, Array]]:
    r"""Return the loss of one batch and its parts.

    .. math::
        L = \underbrace{E f(x) + E[\langle \hat x, y \rangle - f(\hat x)]}_{dual}
          + \underbrace{E (h(y) - \hat x)^2}_{amortization}

    with :math:`\hat x = \arg\min_x f(x) - \langle x, y \rangle`, solved from h(y) and held constant
    (Danskin: the gradient of f* in the parameters is that of f at the maximiser, negated). The
    square is a mean over batch and coordinates, as in the release.

    Returns
    -------
    loss : Array, scalar
    parts : dict
        ``dual``, ``amortization``, ``residual`` (mean over the batch of the largest entry of
        ``|grad f(x_hat) - y|``) and ``iterations`` (mean).
    """
    predicted = training.amortizer(parameters.amortizer, y)
    frozen = jax.lax.stop_gradient(parameters.potential)
    found = conjugate(
        partial(training.potential, frozen),
        y,
        jax.lax.stop_gradient(predicted),
        tolerance=training.tolerance,
        max_iterations=training.iterations,
        memory=training.memory,
        change_basis=training.change_basis,
    )
    solution = jax.lax.stop_gradient(found.points)
    values = training.potential(parameters.potential, jnp.concatenate([x, solution]))
    conjugates = jnp.sum(solution * y, axis=1) - values[len(x) :]
    dual = jnp.mean(values[: len(x)]) + jnp.mean(conjugates)
    amortization = jnp.mean((predicted - solution) ** 2)
    parts = {
        "dual": dual,
        "amortization": amortization,
        "residual": jnp.mean(found.residual),
        "iterations": jnp.mean(found.iterations.astype(y.dtype)),
    }
    return dual + amortization, parts


def train_dual(
    training: DualTraining, parameters: DualParameters[Array], key: Array, report_every: int = 20
) -> Iterator[tuple[int, DualParameters[Array], dict[str, float]]]:
    """Train; sampling and updates are compiled, ``report_every`` steps at a time.

    Parameters
    ----------
    training : DualTraining
    parameters : DualParameters
        Where to start.
    key : Array
        A JAX random key, from which every batch is drawn.
    report_every : int

    Yields
    ------
    done : int
        Updates so far.
    parameters : DualParameters
        As they are now. A caller may stop here.
    parts : dict of str to float
        The losses of the last update; see `dual_losses`.
    """

    def adam(rate: float) -> optax.GradientTransformation:
        schedule = optax.cosine_decay_schedule(rate, training.steps, alpha=0.01)
        return optax.adam(schedule, b1=training.decays[0], b2=training.decays[1])

    optimiser = optax.multi_transform(
        {
            "outer": adam(training.rate),
            "inner": adam(training.rate * INNER_RATE),
            "amortizer": adam(training.amortizer_rate),
        },
        DualParameters[str](
            {n: "inner" if v.ndim == 2 else "outer" for n, v in parameters.potential.items()},
            {n: "amortizer" for n in parameters.amortizer},
        ),
    )
    carry = (parameters, optimiser.init(parameters))

    def update(carry: tuple, key: Array) -> tuple[tuple, dict[str, Array]]:
        parameters, state = carry
        source_key, target_key = jax.random.split(key)
        x, y = training.source(source_key), training.target(target_key)
        gradients, parts = jax.grad(dual_losses, argnums=1, has_aux=True)(
            training, parameters, x, y
        )
        updates, state = optimiser.update(gradients, state, parameters)
        moved = optax.apply_updates(parameters, updates)
        return (moved._replace(potential=training.project(moved.potential)), state), parts

    run = jax.jit(partial(jax.lax.scan, update))
    keys = jax.random.split(key, training.steps)
    for first in range(0, training.steps, report_every):
        carry, parts = run(carry, keys[first : first + report_every])
        done = min(first + report_every, training.steps)
        yield done, carry[0], {name: float(value[-1]) for name, value in parts.items()}
