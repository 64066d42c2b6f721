"""Execution of a request: plan, check, and run each cell in a separate process."""
