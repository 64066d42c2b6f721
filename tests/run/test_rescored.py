"""A model that is scored again, and one that is trained again, has the same numbers to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otbench.run import worker
from otbench.run.preflight import make_plan
from otbench.run.request import Request, Sweep
from otbench.run.runner import Options, prepare


def values(record: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{row['task']}/{row['metric']}": (row["value"], row["stderr"]) for row in record["rows"]
    }


IMAGES = {
    "reconstruction": ["mse", "ssim"],
    "interpolation": ["path-energy", "fid"],
    "clustering": ["kmeans-acc"],
    "classification": ["probe-acc"],
}
POINTS = {"transport": ["uvp", "cosine", "sliced-w2", "exact-w2"]}


@pytest.mark.parametrize(
    ("method", "dataset", "metrics"), [("vae", "digits", IMAGES), ("linear", "gaussian", POINTS)]
)
def test_the_same_numbers_to_the_bit(
    method: str,
    dataset: str,
    metrics: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    sweep = Sweep([method], [dataset], [0], 3, metrics)
    request = Request([sweep], [], "smoke", device="cpu")
    plan = make_plan(request)

    def ran(out: Path, **options: Any) -> tuple[dict[str, Any], bytes]:
        ((job,), _) = prepare(plan, Options(out, **options))
        job.write()
        worker.main(job.request)
        record = job.record()
        assert record is not None
        assert record["status"] == "ok", record["reason"]
        return record, (job.folder / "model" / "model.safetensors").read_bytes()

    first, weights = ran(tmp_path / "one")
    again, same = ran(tmp_path / "one", rescore=True)
    assert again["attempt"] != first["attempt"]
    assert again["fit_seconds"] == first["fit_seconds"]
    assert same == weights
    assert values(again) == values(first)
    anew, trained = ran(tmp_path / "one", strategy="always")
    assert trained == weights
    assert values(anew) == values(first)
    assert len(values(first)) == sum(map(len, metrics.values()))
    assert all(value is not None for value, _ in values(first).values())
