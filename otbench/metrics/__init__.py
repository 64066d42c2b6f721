"""Metrics, one file a family; each takes what one of the tasks produced."""
