"""An autoencoder on the matched backbone whose decoder may read noise beside the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otbench.interface import parameter
from otbench_methods.autoencoders.base import BackboneAutoencoder
from otbench_methods.autoencoders.not_ae_network import BANK

MODES = ("mean", "sample", "zero")


@dataclass
class RandomAutoencoder(BackboneAutoencoder):
    """Base of autoencoders with a random decoder, which can decode in three ways.

    ``network_`` is a `TransportBackbone`. `decode` draws no random numbers: it uses the network's
    bank of noise vectors, so the same codes always give the same images.
    """

    gamma: float = parameter(
        0.0,
        "weight of the conditional variance in the weak cost, which adds noise to the decoder; 0: "
        "strong cost, no noise; above 1 only with squash=true",
        "Lagutin 2022 (all runs); Korotin et al. 2022 have 2/3 for images",
        low=0,
    )
    noise_size: int = parameter(16, "dimension of the noise z, if gamma > 0", "chosen here", low=1)
    noise_scale: float = parameter(
        1.0,
        "standard deviation of z",
        "Korotin et al. 2023 (kernel costs); 0.1 in the first paper",
        above=0,
    )
    noise_count: int = parameter(
        4,
        "K: draws of z for each image in an update of T, >= 2",
        "Korotin et al. 2022, in the plane; 8 for images",
        low=1,
    )
    decode_mode: str = parameter(
        "mean",
        "what decode returns if gamma > 0: mean (over decode_draws fixed z), sample (one fixed z "
        "per image or path), zero (z = 0)",
        "mean: the barycentric projection",
        choices=MODES,
    )
    decode_draws: int = parameter(
        16, f"draws of z in the mean, 1 to {BANK}", "chosen here", low=1, high=BANK
    )

    def conflicts(self) -> Iterator[str]:
        """Yield a message for each conflict between parameters."""
        yield from super().conflicts()
        if self.gamma > 0 and self.noise_count < 2:
            yield (
                "gamma > 0 needs the variance of several draws: noise_count must be at least 2, "
                f"got {self.noise_count}"
            )

    @property
    def stochastic(self) -> bool:
        """Whether the decoder reads noise."""
        return self.gamma > 0

    def draw_noise(self, n: int, k: int, generator: torch.Generator) -> Tensor | None:
        """Draw z, shape (n, k, noise_size), on the generator's device; None without noise."""
        if not self.stochastic:
            return None
        shape = (n, k, self.noise_size)
        z = torch.randn(shape, generator=generator, device=generator.device)
        return self.noise_scale * z

    def decode(self, z: Tensor, mode: str | None = None, noise: Tensor | None = None) -> Tensor:
        """Map codes (n, d) to images (n, c, h, w) in [0, 1].

        Parameters
        ----------
        z : Tensor, shape (n, d)
        mode : {"mean", "sample", "zero"}, optional
            Default: ``decode_mode``. Without noise all modes agree. Means are taken before clipping
            to [0, 1].
        noise : Tensor, shape (m, noise_size), or None
            The z to decode with. A mean is over all m of them; a sample uses the one in its row, or
            the only one if m = 1. Default: the first vectors of the bank.
        """
        network, mode = self.network_, mode or self.decode_mode
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        if not self.stochastic:
            return network.decode(z)
        if mode == "zero":
            return network.to_image(network.output(z))
        if mode == "sample":
            if noise is None:
                noise = network.bank[torch.arange(len(z), device=z.device) % BANK]
            return network.to_image(network.output(z, noise.expand(len(z), -1)))
        kept = network.bank[: self.decode_draws] if noise is None else noise
        total = sum(network.output(z, one.expand(len(z), -1)) for one in kept)
        return network.to_image(total / len(kept))

    def decode_samples(self, z: Tensor, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw n images per code, (m, d) to (m, n, c, h, w) in [0, 1]; None without noise."""
        noise = self.draw_noise(len(z), n, generator)
        if noise is None:
            return None
        images = self.decode(z.repeat_interleave(n, 0), "sample", noise.flatten(0, 1).to(z.device))
        return images.unflatten(0, (len(z), n))

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Decode the straight line between the two codes, with one z for the whole line."""
        if not self.stochastic or self.decode_mode != "sample":
            return super().interpolate(x0, x1, t)
        self.checked("interpolate", x0, x1)
        path = self.code_path(x0, x1, t)
        rows = torch.arange(len(x0), device=path.device) % BANK
        noise = self.network_.bank[rows].repeat_interleave(len(t), 0)
        return self.decode(path.flatten(0, 1), noise=noise).unflatten(0, path.shape[:2])

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Decode the weighted means of the codes, all with the same z."""
        self.checked("barycenter", x)
        one = self.network_.bank[:1] if self.stochastic and self.decode_mode == "sample" else None
        return self.decode(weights.to(x) @ self.encode(x), noise=one)
