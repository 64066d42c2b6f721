"""The networks of neural optimal transport between images."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Networks(nn.Module):
    """The trained map, its running average, which serves as the map, and the potential.

    Parameters
    ----------
    make_map : callable
        Returns a new map; called twice.
    potential : nn.Module
    """

    def __init__(self, make_map: Callable[[], nn.Module], potential: nn.Module) -> None:
        super().__init__()
        self.map, self.average = make_map(), make_map().requires_grad_(False)
        self.potential = potential

    def update_ema(self, decay: float) -> None:
        """Update the running average with the current weights of the map."""
        own, target = list(self.average.parameters()), list(self.map.parameters())
        get_ema_multi_avg_fn(decay)(own, target, 0)
