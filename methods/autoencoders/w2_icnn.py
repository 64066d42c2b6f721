"""An autoencoder whose code is made Gaussian by the gradient of a convex potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otbench.interface import Diverged, FitContext, ImageDataset, MethodCard, Search, parameter
from otbench_methods.autoencoders.ae import AE

if TYPE_CHECKING:
    from otbench.ot.w2.whitened_map import WhitenedMap

MAP = "map.safetensors"
ENCODED_AT_ONCE = 64

DRAWS_OF_A_CODE = 8
"""Times that the map sees a training code on average, where there are enough codes: encoding more
of them would cost more time than the map's training."""

MATRICES = 0.1
"""Rate of matrices over that of vectors."""

CODES_PER_DIMENSION = 16
"""Codes at least, per dimension, for mean and covariance."""


@dataclass
class W2ICNN(AE):
    """The plain autoencoder, then a Wasserstein-2 map from the law of its codes to N(0, I)."""

    hidden: tuple[int, ...] = parameter(
        (512,),
        "units of each layer of the convex potential",
        "for codes of 256 numbers",
        low=1,
        nonempty=True,
    )
    amortizer_hidden: tuple[int, ...] = parameter(
        (256,),
        "units of each layer of the amortizer's residual network",
        "as wide as the code",
        low=1,
        nonempty=True,
    )
    map_batch: int = parameter(
        256,
        "codes, and Gaussian points, in one update of the map",
        "small batches won at n <= 64",
        low=1,
    )
    map_lr: float = parameter(
        1e-2,
        "Adam's rate of vectors at the start of the cosine, a tenth of it for matrices",
        "0.002 to 0.03 tried on MNIST codes at 500 steps; one rate for both, or Muon, is worse",
        above=0,
        search=Search(1e-3, 5e-2, log=True),
    )
    ema_decay: float = parameter(
        0.98,
        "decay of the running average of the weights, which is the map",
        "chosen here",
        low=0,
        below=1,
    )
    training_tolerance: float = parameter(
        0.1,
        "residual, largest entry, at which the conjugate solver of a training step stops",
        "Amos 2023, solver lbfgs of the release",
        above=0,
    )
    training_iterations: int = parameter(
        10, "steps of the conjugate solver in a training step, at most", "100 in the release", low=1
    )
    tolerance: float = parameter(
        1e-3,
        "residual, largest entry, at which decoding stops solving for the inverse map",
        "Amos 2023, solver lbfgs_high_precision of the release",
        above=0,
    )
    iterations: int = parameter(
        100, "steps of the conjugate solver in decoding, at most", "Amos 2023, release", low=1
    )

    card: ClassVar[MethodCard] = MethodCard(
        title="Autoencoder with a Gaussian code by an amortized Wasserstein-2 map",
        source="Map: Amos 2023, On amortizing convex conjugates for optimal transport, "
        "arXiv 2210.12153 (release: facebookresearch/w2ot); its use in an autoencoder is ours",
        equations=(
            "autoencoder: L = mean over the batch of BCE(D(E(x)), x), summed over pixels",
            "potential, dual of the squared distance: min over f of E f(E(x)) + E f*(y), "
            "f*(y) = <x^, y> - f(x^), x^ = argmin_x f(x) - <x, y>, y ~ N(0, I)",
            "amortizer, regression: E |h(y) - x^|^2, x^ by L-BFGS started at h(y)",
            "encode = grad f(E(x)), decode = D(grad f*(y))",
        ),
        deviations=(
            "the autoencoder is exactly the method ae; the map is trained on its frozen codes "
            "afterwards, as many updates as the budget has steps, on a random part of the training "
            "split where a code would be drawn less than 8 times; its time is in fit_seconds",
            "f and h start at the closed-form Gaussian (Bures) map of the codes and its inverse, "
            "in place of an identity learned in 10,000 updates; eigenvalues of the codes' "
            "covariance are floored at 1e-6 of the largest",
            "map and solver work in coordinates in which that start is the identity; the "
            "amortizer's squared error is measured there",
            "the potential has a learned quadratic with curvature at least 0.1 a direction, every "
            "layer reaches the output, and rounded norms of groups of 16 principal axes stand "
            "among its convex units: codes are mixtures of scales, which sums of ridges fit slowly",
            "Adam (0.9, 0.99) without weight decay; the full step is tried before the parallel "
            "line search",
        ),
        relative_cost=1.6,
    )

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        """Train the autoencoder, then the map on its codes.

        Progress counts the budget's steps twice: first with the autoencoder's loss, then with
        those of the map, ``map_dual``, ``map_amortization`` and ``map_residual``. Where the
        budget's seconds run out in the first part, the map stays the closed-form Gaussian one.
        """
        super().fit(data, ctx)
        codes = self._codes(data.train.images, ctx)
        self.map_ = self._map(codes)
        self.map_.start(codes, ctx.seed_for("map-init"))
        cap = ctx.budget.seconds
        if cap is not None and ctx.seconds > cap:
            return
        from otbench.ot.training import Schedule

        schedule = Schedule(
            ctx.budget.steps, self.map_lr, ema_decay=self.ema_decay, matrices=MATRICES
        )
        updates = self.map_.train(codes, ctx.seed_for("map-batches"), schedule, self.map_batch)
        try:
            for done, losses in updates:
                ctx.progress(
                    done - 1,
                    map_dual=losses["dual"],
                    map_amortization=losses["amortization"],
                    map_residual=losses["residual_90"],
                )
                if cap is not None and ctx.seconds > cap:
                    return
        except FloatingPointError as error:
            raise Diverged(str(error)) from error

    def _map(
        self, codes: Tensor | None = None, arrays: dict[str, np.ndarray] | None = None
    ) -> WhitenedMap:
        """Make the map for codes, or from its saved arrays."""
        from otbench.ot.gaussian import WhitenedCoordinates
        from otbench.ot.w2.lbfgs import LBFGS
        from otbench.ot.w2.whitened_map import WhitenedMap

        rest = (
            self.hidden,
            self.amortizer_hidden,
            LBFGS(self.training_tolerance, self.training_iterations),
            LBFGS(self.tolerance, self.iterations),
        )
        if arrays is not None:
            return WhitenedMap.of_arrays(arrays, *rest)
        assert codes is not None
        return WhitenedMap(WhitenedCoordinates.of(codes.numpy(force=True)), *rest)

    @torch.no_grad()
    def _codes(self, images: Tensor, ctx: FitContext) -> Tensor:
        """Encode as many random images as the map's training can use."""
        draws = ctx.budget.steps * self.map_batch
        least = CODES_PER_DIMENSION * self.network_.code_dimension
        order = torch.randperm(len(images), generator=ctx.generator("map-codes"))
        chosen = order[: max(draws // DRAWS_OF_A_CODE, least)].to(images.device)
        parts = chosen.split(ENCODED_AT_ONCE)
        return torch.cat([self.network_.encode(images[part].to(ctx.device)) for part in parts])

    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) to codes (n, d) whose law is close to N(0, I)."""
        return self.map_.push(super().encode(x))

    def decode(self, z: Tensor) -> Tensor:
        """Map codes (n, d) to images (n, c, h, w) in [0, 1]; not differentiable."""
        return self.network_.decode(self.map_.pull(z))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Decode n draws of N(0, I), shape (n, c, h, w)."""
        device = next(self.network_.parameters()).device
        noise = torch.randn(
            n, self.network_.code_dimension, generator=generator, device=generator.device
        )
        return self.decode(noise.to(device))

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned."""
        super().restore(state)
        saved: Any = self.map_
        self.map_ = self._map(arrays={n: value.numpy(force=True) for n, value in saved.items()})
