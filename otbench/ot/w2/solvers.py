"""The conjugate solvers of Amos 2023 by name."""

from __future__ import annotations

from otbench.ot.w2.adam import Adam
from otbench.ot.w2.conjugate import Solver
from otbench.ot.w2.lbfgs import LBFGS

SOLVERS: dict[str, Solver] = {
    "lbfgs": LBFGS(0.1, 100),
    "lbfgs-high-precision": LBFGS(1e-3, 100),
    "adam": Adam(0.1, 100),
}
"""The settings of Amos 2023's release. Its high-precision search tries up to 30 lengths one after
the other; ours tries ten at once and, if all fail, ten shorter ones with a cleared memory."""
