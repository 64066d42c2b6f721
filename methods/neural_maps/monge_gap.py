"""A map without potentials, regularised by the Monge gap and trained by OTT-JAX."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, parameter
from otbench_methods.neural_maps.ott_neural import (
    OTTNeuralMap,
    flat,
    import_neural,
    steered,
    watched,
)

if TYPE_CHECKING:
    from otbench.ot.w2.brenier_map import View
    from otbench.ot.w2.network import Network


class MapParameters(NamedTuple):
    """The parameters of the only network."""

    map: Any


@dataclass
class MongeGap(OTTNeuralMap):
    """`MongeGapEstimator` of OTT-JAX 0.6: a perceptron from x to x + its output."""

    strength: float = parameter(
        1.0, "weight of the Monge gap, >= 0", "Uscidda & Cuturi 2023", low=0
    )
    fitting_epsilon: float = parameter(
        0.1,
        "entropic regularisation of the divergence from the target, in squared length, > 0",
        above=0,
    )
    gap_epsilon: float = parameter(
        0.1, "entropic regularisation of the Monge gap, in squared length, > 0", above=0
    )
    sinkhorn_iterations: int = parameter(
        200, "largest number of Sinkhorn iterations for each plan, >= 1", low=1
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Map regularised by the Monge gap, OTT-JAX's MongeGapEstimator",
        source="Uscidda & Cuturi 2023, The Monge gap: a regularizer to learn all transport maps, "
        "arXiv 2302.04953; OTT-JAX 0.6 (Cuturi et al. 2022)",
        equations=(
            "min over T of S_eps(T(X), Y) + lambda M(T)",
            "M(T) = mean_i |x_i - T(x_i)|^2 - W_eps(X, T(X)) (eq. 8), S the Sinkhorn divergence, "
            "both on a batch",
        ),
        deviations=(
            "the epsilons are absolute; they suit distributions with about unit variance "
            "per coordinate",
        ),
        relative_cost=3.0,
    )

    def _modules(self, dimension: int) -> tuple[Any, ...]:
        potentials = import_neural("networks.potentials")
        return (potentials.PotentialMLP(self.hidden, is_potential=False, **self._activation()),)

    def _view(self, networks: tuple[Network, ...]) -> View[Any]:
        from otbench.ot.w2.brenier_map import View

        # The network is not a potential; only the view's prediction, which is the map, is used.
        return View(MapParameters, networks, _carry)

    def _train(
        self,
        modules: tuple[Any, ...],
        data: MeasurePair,
        key: Any,
        sides: tuple[Iterator[Any], Iterator[Any]],
        ctx: FitContext,
    ) -> Any:
        from ott.geometry.pointcloud import PointCloud
        from ott.tools.sinkhorn_divergence import sinkhorn_divergence

        method = import_neural("methods.monge_gap")
        limit = {"max_iterations": self.sinkhorn_iterations}

        def fitting(moved: Any, target: Any) -> tuple[Any, None]:
            value, _ = sinkhorn_divergence(
                PointCloud, moved, target, epsilon=self.fitting_epsilon, solve_kwargs=limit
            )
            return value, None

        def gap(points: Any, moved: Any) -> tuple[Any, None]:
            value = method.monge_gap_from_samples(points, moved, epsilon=self.gap_epsilon, **limit)
            return value, None

        steps = self._steps(ctx)
        estimator = method.MongeGapEstimator(
            data.dimension,
            *modules,
            self._optimiser(steps),
            fitting,
            gap,
            self.strength,
            num_train_iters=steps,
            rng=key,
        )
        estimator.step_fn = watched(
            estimator.step_fn,
            lambda result: {
                "divergence": result[1]["train"]["fitting_loss"],
                "gap": result[1]["train"]["regularizer"],
            },
            steps,
            ctx,
        )
        with steered():
            estimator.train_map_estimator(*sides, *sides)
        return MapParameters(flat(estimator.state_neural_net.params))

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Push source points forward by the network, (n, d) to (n, d), on their device."""
        return self.map_.predict(x)


def _carry(networks: Any, parameters: MapParameters, x: Any) -> Any:
    return networks[0].apply(parameters.map, x)
