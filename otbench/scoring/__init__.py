"""Scoring of trained methods, evaluation during training, pictures."""
