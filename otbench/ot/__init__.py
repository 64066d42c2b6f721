"""Optimal-transport numerics that tasks and methods share."""
