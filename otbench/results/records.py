"""Which metrics a record lacks, and how new rows are merged into it."""

from __future__ import annotations

from typing import Any

from otbench.results.cell import Job

FINISHED = ("ok", "skipped")
"""Statuses that the same command does not try again."""


def missing_metrics(job: Job, record: dict[str, Any]) -> dict[str, list[str]]:
    """Return the wanted metrics, by task, that have no row worth keeping in the record.

    Rows that failed are scored again, and so are rows that were skipped for want of weights which
    are there now.
    """
    done = {
        (row["task"], row["text"])
        for row in record["rows"]
        if row["status"] in FINISHED and (row["text"] in job.unavailable or not row.get("retry"))
    }
    return {
        task: absent
        for task, texts in job.metrics.items()
        if (absent := [text for text in texts if (task, text) not in done])
    }


def is_finished(job: Job, record: dict[str, Any] | None) -> bool:
    """Tell whether the record answers all that the job wants."""
    if not record or record["status"] not in FINISHED:
        return False
    return record["status"] == "skipped" or not missing_metrics(job, record)


def merge_rows(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put new rows in the place of old ones of the same task and metric, others at the end."""
    merged = {(row["task"], row["text"]): row for row in old}
    merged.update({(row["task"], row["text"]): row for row in new})
    return list(merged.values())
