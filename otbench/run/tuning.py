"""Tuning a method's parameters on validation data, with a log that a later run goes on from.

Every method gets the same number of trials. The first is the method's defaults; the others are
proposed by Optuna's tree-structured Parzen estimator. A trial trains with seeds that no table
reports, and is scored on the validation images alone. A trial whose training is lost (it collapsed
or diverged) is logged as such and counts as worse than any value.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from otbench.errors import UsageError, describe
from otbench.interface.data import ImageDataset
from otbench.interface.method import Method
from otbench.interface.parameters import Search
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, Diverged, FitContext
from otbench.presets import Preset
from otbench.results.cell import canonical, read_json, write_json
from otbench.results.record import DIVERGED
from otbench.run.provenance import libraries
from otbench.scoring.kinds import kind_of
from otbench.scoring.lost import JUDGED_FROM, of_losses
from otbench.scoring.score import score

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

FIRST_SEED = 10_000
"""The first seed of a trial; those that tables report are counted from 0."""

DEFAULT_OBJECTIVE = ("interpolation/kid[lenet]", "reconstruction/kid[lenet]")
"""Kernel distance of the images between two codes, and of the reconstructions, from the data: no
method is trained on either. The sum leaves a blurred reconstruction or a faded path no way to win.
No claim is judged by it; claims about the Fréchet distance of the same features are its kin, and
weigh less where settings were chosen so."""


@dataclass(frozen=True)
class Objective:
    """What is tuned for: the sum of some metrics.

    Attributes
    ----------
    metrics : tuple of str
        As ``task/metric``.
    direction : {"lower", "higher"}
    """

    metrics: tuple[str, ...]
    direction: str

    @property
    def wanted(self) -> dict[str, list[str]]:
        """The metrics by task."""
        found: dict[str, list[str]] = {}
        for text in self.metrics:
            task, _, metric = text.partition("/")
            found.setdefault(task, []).append(metric)
        return found


@dataclass
class Trial:
    """One setting that was tried.

    Attributes
    ----------
    number : int
    parameters : dict
        Of the space.
    values : list of float
        The objective, one a seed; empty where a training was lost.
    status, reason : str, str or None
        ``ok``, ``collapsed``, ``diverged`` or ``failed``.
    seconds : float
        Of training and scoring, wall-clock.
    """

    number: int
    parameters: dict[str, Any]
    values: list[float] = field(default_factory=list)
    status: str = "ok"
    reason: str | None = None
    seconds: float = 0.0

    @property
    def value(self) -> float | None:
        """The mean over the seeds; None where there is none."""
        whole = self.status == "ok" and self.values
        return sum(self.values) / len(self.values) if whole else None


@dataclass(frozen=True)
class Setting:
    """What a tuning depends on; a log of another setting is not gone on from.

    Attributes
    ----------
    method, dataset, preset : str
        Labels.
    space : dict of str to Search
    fixed : dict
        The parameters that are not tuned, with their values.
    defaults : dict
        Of those that are.
    steps, batch_size : int
    seeds : tuple of int
    objective : Objective
    code_sha256, data_sha256 : str
    device : str
    threads : int
    libraries : dict of str to str
    """

    method: str
    dataset: str
    preset: str
    space: dict[str, Search]
    fixed: dict[str, Any]
    defaults: dict[str, Any]
    steps: int
    batch_size: int
    seeds: tuple[int, ...]
    objective: Objective
    code_sha256: str
    data_sha256: str
    device: str
    threads: int
    libraries: dict[str, str] = field(default_factory=libraries)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        content: dict[str, Any] = _as_json(asdict(self))
        return content


def validation_of(data: ImageDataset) -> ImageDataset:
    """Return the data as a trial may see them: the validation images in the place of the test's.

    Raises
    ------
    UsageError
        If they are no collection of images, or have no validation images.
    """
    if not isinstance(data, ImageDataset) or data.scene is not None:
        kind = kind_of(data).name
        raise UsageError(
            f"tune works on collections of images, which have validation images; {data.name} is "
            f"{kind}: try values by a grid, such as otbench run --methods 'ae[lr=[0.001,0.01]]'"
        )
    if not len(data.validation):
        raise UsageError(f"{data.name} has no validation images")
    return replace(data, test=data.validation, pairs=None)


def tune(
    setting: Setting,
    make: Callable[[dict[str, Any]], Method],
    data: ImageDataset,
    preset: Preset,
    trials: int,
    file: Path,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Try settings until the log has as many as are wanted; return all of them.

    The log is written after every trial. What is proposed depends on the trials before and on
    their number, so a run that was stopped goes on as if it had not been.

    Parameters
    ----------
    setting : Setting
    make : callable
        Makes the method from the values of the tuned parameters.
    data : ImageDataset
        As `validation_of` returns them.
    preset : Preset
    trials : int
    file : Path
        The log, JSON.
    on_trial : callable, optional
        Called with each trial as it ends.

    Raises
    ------
    UsageError
        If the log is of another setting.
    """
    done = read_log(file, setting)
    for number in range(len(done), trials):
        trial = Trial(number, _proposed(setting, done))
        _run(trial, setting, make, data, preset)
        done.append(trial)
        write_json(file, {"setting": setting.plain(), "trials": [asdict(one) for one in done]})
        on_trial(trial)
    return done


def read_log(file: Path, setting: Setting) -> list[Trial]:
    """Return the trials of a log; none where there is no log.

    Raises
    ------
    UsageError
        If the file cannot be read, or was written under another setting.
    """
    try:
        content = read_json(file)
        before, trials = content["setting"], [Trial(**one) for one in content["trials"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} is no log of a tuning ({describe(error)}); move it away"
        ) from error
    now = setting.plain()
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise UsageError(
            f"{file} was written with other {', '.join(changed)}; move it away, or tune as before"
        )
    return trials


def best_of(trials: Sequence[Trial], direction: str) -> Trial | None:
    """Return the trial with the best value, the first of equals; None where all were lost."""
    sign = -1 if direction == "lower" else 1
    scored = [(sign * trial.value, trial) for trial in trials if trial.value is not None]
    return max(scored, key=lambda one: one[0])[1] if scored else None


def _proposed(setting: Setting, done: Sequence[Trial]) -> dict[str, Any]:
    """Return the parameters of the next trial."""
    if not done:
        return dict(setting.defaults)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    digest = hashlib.sha256(f"{setting.method}/{setting.dataset}/{len(done)}".encode()).digest()
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4], "big")),
        direction="minimize" if setting.objective.direction == "lower" else "maximize",
    )
    space = {
        name: _distribution(one, setting.defaults[name]) for name, one in setting.space.items()
    }
    states = optuna.trial.TrialState
    for trial in done:
        # A pruned trial without a value counts as worse than any other.
        state = states.PRUNED if trial.value is None else states.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state, value=trial.value, params=trial.parameters, distributions=space
            )
        )
    proposed: dict[str, Any] = study.ask(space).params
    return proposed


def _distribution(search: Search, default: Any) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if search.choices is not None:
        # The defaults are a trial like others.
        return CategoricalDistribution(tuple(dict.fromkeys((*search.choices, default))))
    assert search.low is not None
    assert search.high is not None
    low, high = min(search.low, default), max(search.high, default)
    if isinstance(default, int) and not isinstance(default, bool):
        return IntDistribution(int(low), int(high), log=search.log)
    return FloatDistribution(low, high, log=search.log)


def _run(
    trial: Trial,
    setting: Setting,
    make: Callable[[dict[str, Any]], Method],
    data: ImageDataset,
    preset: Preset,
) -> None:
    """Train and score one trial; what goes wrong becomes its status."""
    started = time.perf_counter()
    try:
        for value in _values(trial, setting, make, data, preset):
            trial.values.append(value)
    except Diverged as error:
        trial.status, trial.reason = DIVERGED, str(error)
    except _Ended as end:
        trial.status, trial.reason = end.args
    except Exception as error:
        log.exception("trial %d failed", trial.number)
        trial.status, trial.reason = "failed", describe(error)
    trial.seconds = round(time.perf_counter() - started, 1)


class _Ended(Exception):
    """A trial that has no value; holds status and reason."""


def _values(
    trial: Trial,
    setting: Setting,
    make: Callable[[dict[str, Any]], Method],
    data: ImageDataset,
    preset: Preset,
) -> Iterator[float]:
    for seed in setting.seeds:
        method = make(trial.parameters)
        losses: dict[str, list[tuple[int, float]]] = {}

        def on_progress(
            step: int,
            steps: int,
            seconds: float,
            values: dict[str, float],
            losses: dict[str, list[tuple[int, float]]] = losses,
        ) -> None:
            for name, value in values.items():
                losses.setdefault(name, []).append((step, value))

        budget = Budget(setting.steps, setting.batch_size)
        method.fit(data, FitContext(budget, seed, setting.device, on_progress))
        ctx = ScoreContext(torch.device(setting.device), seed, data, **asdict(preset.sizes))
        rows = list(score(method, data, ctx, setting.objective.wanted))
        if setting.steps >= JUDGED_FROM:
            lost = kind_of(data).lost(method, data, ctx, rows) or of_losses(losses)
            if lost is not None:
                raise _Ended(lost.status, lost.reason)
        for row in rows:
            if row["status"] != "ok":
                raise _Ended("failed", f"{row['task']}/{row['metric']}: {row['reason']}")
        yield sum(row["value"] for row in rows)


def _as_json(content: Any) -> Any:
    import json

    return json.loads(canonical(content))
