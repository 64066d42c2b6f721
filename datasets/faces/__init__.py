"""Drawn and downloaded faces."""
