"""Scoring of trained methods, evaluation during training, and pictures."""
