"""Metrics, one file per family; each takes the result of one of the tasks."""
