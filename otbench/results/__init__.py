"""Cells, their records, and the tables made from them."""
