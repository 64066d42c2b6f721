"""OTT-JAX's own dual solver for Wasserstein-2 maps, as a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, parameter
from otbench_methods.neural_maps.base import START_SAMPLE
from otbench_methods.neural_maps.ott_neural import (
    OTTNeuralMap,
    flat,
    import_neural,
    steered,
    watched,
)
from otbench_methods.sampled_maps.base import draw_both

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.network import Network

INITIAL_SPREAD = 0.01
"""Standard deviation of an ICNN's kernels at initialisation."""


@dataclass
class W2OTT(OTTNeuralMap):
    """`W2NeuralDual` of OTT-JAX 0.6 with its own networks, solver and training loop."""

    potential: str = parameter(
        "mlp",
        "network of both potentials: mlp (PotentialMLP, |x|^2 / 2 plus a perceptron) or icnn "
        "(ICNN with quadratic terms)",
        choices=("mlp", "icnn"),
    )
    start: str = parameter(
        "plain",
        "initial map: plain (the identity) or bures (an icnn starts at the map between Gaussian "
        "fits)",
        choices=("plain", "bures"),
    )
    amortization: str = parameter(
        "regression",
        "loss of g: regression (the solver's points) or objective",
        "OTT-JAX",
        choices=("regression", "objective"),
    )
    conjugate: str = parameter(
        "lbfgs",
        "solver that refines g's prediction in training: lbfgs or none",
        "OTT-JAX",
        choices=("lbfgs", "none"),
    )
    conjugate_tolerance: float = parameter(
        0.1,
        "Euclidean norm of the residual at which that solver stops, > 0",
        "Amos 2023; with OTT-JAX's 1e-5 an update takes seconds",
        above=0,
    )
    conjugate_iterations: int = parameter(
        20,
        "largest number of iterations of that solver, >= 1; a batch takes as many as its "
        "slowest point",
        "OTT-JAX",
        low=1,
    )
    back_and_forth: bool = parameter(
        False,
        "exchange the roles of f and g every other update; OTT-JAX does so by default for mlp",
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Wasserstein-2 map by OTT-JAX's W2NeuralDual",
        source="Cuturi et al. 2022, Optimal Transport Tools, arXiv 2201.12324 (release 0.6), after "
        "Amos 2023, arXiv 2210.12153, and Makkuva et al. 2020, arXiv 1908.10831",
        equations=(
            "f: min E f(X) + E[<x^, Y> - f(x^)], x^ solved for from grad g(Y), held constant",
            "g, regression: E (grad g(Y) - x^)^2, mean over coordinates too; objective: "
            "E f(grad g(Y)) - <grad g(Y), Y>",
            "push = grad f; pull = argmin_x f(x) - <x, y>",
        ),
        deviations=(
            "without a solver, f and g are updated in turn (parallel_updates=False), because in "
            "parallel updates of release 0.6 the gradients of g's objective cancel",
            "kernels of the icnn are initialised from N(0, 0.01^2); with the release's default "
            "(LeCun's), the initial map is hundreds of standard deviations away from the intended "
            "identity",
            "the solver's tolerance is 0.1, and OTT's line search always takes 30 steps, whatever "
            "its settings",
            "pull and the dual value are solved for by the suite's own L-BFGS to a residual of "
            "0.001, as for all such methods; without a solver pull is grad g",
        ),
        relative_cost=3.0,
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        if self.start == "bures" and self.potential != "icnn":
            yield f"start=bures is for potential=icnn, got {self.potential}"
        if self.conjugate == "none" and self.amortization == "regression":
            yield (
                "amortization=regression learns the solver's points; without a solver, use "
                "amortization=objective"
            )
        if self.conjugate == "none" and self.back_and_forth:
            yield "back_and_forth needs updates in parallel, hence conjugate=lbfgs"

    def _module(self, dimension: int, **start: Any) -> Any:
        arguments = {"dim_hidden": self.hidden, **self._activation()}
        if self.potential == "mlp":
            return import_neural("networks.potentials").PotentialMLP(**arguments)
        # The last quadratic term holds the Gaussian start's matrix, hence its full rank.
        last = dimension if self.start == "bures" else 1
        ranks = (*(1,) * (len(self.hidden) + 1), last)
        icnn = import_neural("networks.icnn").ICNN
        import jax

        return icnn(
            dimension,
            ranks=ranks,
            init_fn=jax.nn.initializers.normal(INITIAL_SPREAD),
            pos_weights=True,
            **arguments,
            **start,
        )

    def _modules(self, dimension: int) -> tuple[Any, ...]:
        return self._module(dimension), self._module(dimension)

    def _view(self, networks: tuple[Network, ...]) -> View[Any]:
        from otbench.ot.w2.brenier_map import View, by_gradient
        from otbench.ot.w2.losses import DualParameters

        return View(DualParameters, networks, by_gradient)

    def _train(
        self,
        modules: tuple[Any, ...],
        data: MeasurePair,
        key: Any,
        sides: tuple[Iterator[Any], Iterator[Any]],
        ctx: FitContext,
    ) -> Any:
        from otbench.ot.w2.losses import DualParameters

        solved = self.conjugate == "lbfgs"
        steps = self._steps(ctx)
        dual = import_neural("methods.neuraldual").W2NeuralDual(
            data.dimension,
            *modules,
            self._optimiser(steps),
            self._optimiser(steps),
            num_train_iters=steps,
            back_and_forth=self.back_and_forth,
            valid_freq=steps + 1,
            rng=key,
            conjugate_solver=self._solver() if solved else None,
            amortization_loss=self.amortization,
            parallel_updates=solved,
        )
        if self.start == "bures":
            self._start_at_gaussian(dual, data, key, ctx)
        if solved:
            dual.train_step_parallel = watched(
                dual.train_step_parallel,
                lambda result: {"dual": result[3], "amortization": result[4]},
                steps,
                ctx,
            )
        else:
            dual.train_step_f = watched(dual.train_step_f, lambda r: {"dual": r[1]}, steps, ctx)
        with steered():
            dual(*sides, *sides)
        return DualParameters(flat(dual.state_f.params), flat(dual.state_g.params))

    def _solver(self) -> Any:
        return import_neural("networks.layers.conjugate").FenchelConjugateLBFGS(
            gtol=self.conjugate_tolerance, max_iter=self.conjugate_iterations
        )

    def _start_at_gaussian(self, dual: Any, data: MeasurePair, key: Any, ctx: FitContext) -> None:
        """Start both potentials at OTT's own Gaussian initialisation."""
        import jax.numpy as jnp

        x, y = (jnp.asarray(side.numpy()) for side in draw_both(data, START_SAMPLE, ctx))
        for name, samples in (("state_f", (x, y)), ("state_g", (y, x))):
            module = self._module(data.dimension, gaussian_map_samples=samples)
            state = getattr(dual, name)
            started = module.init(key, x[:1])["params"]
            setattr(dual, name, state.replace(params=started))

    def pull(self, y: Tensor) -> Tensor:
        """Pull target points back by the conjugate's gradient, (n, d) to (n, d)."""
        return self.map_.predict(y) if self.conjugate == "none" else self.map_.solve(y)

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared distance from f and its conjugate, solved for at every y."""
        return self.map_.half_squared_w2(x, y)
