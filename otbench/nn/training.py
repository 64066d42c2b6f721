"""The optimiser and schedule of the track ``matched``."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from otbench.interface.training import Budget

PEAK_LR = 4e-3
"""Peak of the one-cycle learning rate: the highest that was stable for all seeds tried, of all
methods but `acai`, which has half of it."""


class Optimiser:
    """Fused Adam under a schedule that spans the budget.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    budget : Budget
        Number of steps; the cycle ends with the last one.
    lr : float
        The constant learning rate, or the peak of the cycle.
    schedule : {"one-cycle", "constant"}
        One-cycle (Smith & Topin 2018): up from a twenty-fifth of the peak, then down to a
        ten-thousandth of the start. Constant: except at the milestones.
    clip : float or None
        Largest norm of the whole gradient; None for no clipping.
    betas : tuple of float
        Adam's decay rates.
    milestones : tuple of float
        Shares of the budget, in (0, 1), at which a constant learning rate is halved.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        budget: Budget,
        lr: float = PEAK_LR,
        schedule: str = "one-cycle",
        clip: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        milestones: tuple[float, ...] = (),
    ) -> None:
        self.adam = Adam(parameters, lr=lr, betas=betas, fused=True)
        self.clip = clip
        self.schedule: LRScheduler
        if schedule == "one-cycle":
            self.schedule = OneCycleLR(self.adam, max_lr=lr, total_steps=max(budget.steps, 2))
        elif schedule == "constant":
            updates = sorted(round(share * budget.steps) for share in milestones)
            self.schedule = MultiStepLR(self.adam, updates, 0.5)
        else:
            raise ValueError(f"schedule must be one-cycle or constant, got {schedule!r}")

    def step(self, loss: Tensor) -> None:
        """Take a step along the gradient of the loss, then advance the learning rate."""
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip is not None:
            clip_grad_norm_(self.adam.param_groups[0]["params"], self.clip)
        self.adam.step()
        self.schedule.step()
