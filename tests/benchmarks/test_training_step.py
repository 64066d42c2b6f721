"""Time of one training step of each method on the matched backbone: batches of 64 at 32x32.

Run with ``pytest tests/benchmarks/test_training_step.py --benchmark-only``; divide a row's minimum
by ``STEPS`` for the time of a step, and by the row of ``ae`` for its price in plain steps.
"""

import pytest
import torch

from otbench.interface import Budget, FitContext
from otbench.nn.memory import keep_freed_memory
from otbench_methods.autoencoders.acai import ACAI
from otbench_methods.autoencoders.ae import AE
from otbench_methods.autoencoders.not_ae import NOTAE
from otbench_methods.autoencoders.vae import VAE

STEPS = 10


@pytest.mark.parametrize("method", [AE, VAE, ACAI, NOTAE], ids=lambda m: m.__name__.lower())
def test_training_step(benchmark, method, blobs):
    keep_freed_memory()
    torch.set_num_threads(1)
    benchmark.extra_info["steps"] = STEPS

    def fit() -> None:
        method().fit(blobs, FitContext(Budget(STEPS, batch_size=64)))

    benchmark.pedantic(fit, rounds=4, warmup_rounds=1)
