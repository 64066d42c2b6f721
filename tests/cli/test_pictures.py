"""Which seed of a method the pictures of a run show."""

from __future__ import annotations

from pathlib import Path

from otbench.cli.run import _galleries
from otbench.run.runner import Outcome
from tests.results.small import make_cell, make_job


def test_the_first_seed_that_did_not_collapse_is_shown(tmp_path: Path) -> None:
    statuses = {"ae": ("collapsed", "ok", "ok"), "vae": ("diverged", "collapsed"), "acai": ("ok",)}
    jobs, found = [], {}
    for method, own in statuses.items():
        for seed, status in enumerate(own):
            job = make_job(tmp_path, make_cell(method=method, seed=seed))
            job.folder.mkdir(parents=True)
            (job.folder / "gallery.npz").touch()
            jobs.append(job)
            found[job.cell.key] = {"status": status}
    shown = _galleries(Outcome(jobs, {}, 0, found=found), "digits")
    assert list(shown) == ["ae", "vae", "acai"]
    seeds = [file.parent.name.split("-s")[1][0] for file in shown.values()]
    assert seeds == ["1", "0", "0"]
    assert _galleries(Outcome(jobs, {}, 0, found=found), "mnist") == {}
