"""Missing metrics of a record, the merge of new rows, and the record of a failure."""

from __future__ import annotations

from typing import Any

from otbench.results.job import Job
from otbench.results.record import LOST, Record

FINISHED = ("ok", "skipped", *LOST)
"""Statuses that are not retried when the same command runs again. A training that collapsed or
diverged would do so again."""


def missing_metrics(job: Job, record: Record) -> dict[str, list[str]]:
    """Return the requested metrics, by task, for which the record has no valid row.

    A row is not valid if it failed, if it was scored with other code or sizes, or if it was skipped
    for missing weights that are now available.
    """
    done = {
        (row["task"], row["text"])
        for row in record["rows"]
        if row["status"] in FINISHED
        and row["score_sha256"] == job.digests.get(f"{row['task']}/{row['text']}")
        and (row["text"] in job.unavailable or not row.get("retry"))
    }
    return {
        task: absent
        for task, texts in job.metrics.items()
        if (absent := [text for text in texts if (task, text) not in done])
    }


def is_finished(job: Job, record: Record | None) -> bool:
    """Return whether the record contains everything that the job requests."""
    if not record or record["status"] not in FINISHED:
        return False
    # One that diverged in training has left no model to score.
    without_model = record["status"] in LOST and record["fit_seconds"] is None
    return record["status"] == "skipped" or without_model or not missing_metrics(job, record)


def answers(job: Job, record: Record | None) -> bool:
    """Return whether a record comes from this attempt, or from another that did its work."""
    if record is None:
        return False
    last = record.get("last_attempt") or {}
    if job.attempt in (record["attempt"], last.get("attempt")):
        return True
    return not (job.fresh or job.rescore) and is_finished(job, record)


def outcome_of(job: Job, record: Record) -> tuple[str, str | None]:
    """Return status and reason of this attempt, even if an earlier, better record was kept."""
    last = record.get("last_attempt") or {}
    if last.get("attempt") == job.attempt:
        return last["status"], last["reason"]
    return record["status"], record["reason"]


def merge_rows(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace old rows by new ones of the same task and metric, and append the others.

    A row that failed does not replace a row of the same code that has a value.
    """
    merged = {(row["task"], row["text"]): row for row in old}
    for row in new:
        place = (row["task"], row["text"])
        known = merged.get(place)
        same = known is not None and known["score_sha256"] == row["score_sha256"]
        if same and known is not None and known["status"] == "ok" and row["status"] == "failed":
            continue
        merged[place] = row
    return list(merged.values())


def with_failure(job: Job, kept: Record | None, status: str, reason: str, **known: Any) -> Record:
    """Record a failed attempt; a finished record is kept, and the failure is added to it.

    Parameters
    ----------
    job : Job
    kept : dict or None
        The record in the folder, if there is one.
    status, reason : str
        Status and reason of this attempt.
    **known
        Further fields, for a cell without a finished record.
    """
    if kept is not None and kept["status"] in FINISHED:
        failure = {"attempt": job.attempt, "status": status, "reason": reason}
        content = {name: value for name, value in kept.items() if name not in OWN}
        return job.write_record(**content | {"attempt": kept["attempt"], "last_attempt": failure})
    blank: dict[str, Any] = {"fit_seconds": None, "score_seconds": None, "peak_rss_mb": None}
    blank |= {"rows": [], "losses": {}, "curve": [], "started_at": ""}
    earlier = {name: kept[name] for name in blank} if kept is not None else {}
    return job.write_record(**blank | earlier | known, status=status, reason=reason)


OWN = ("schema", "key", "group", "cell")
"""The fields that `Job.write_record` adds itself."""
