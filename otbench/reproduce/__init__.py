"""Reproductions: a paper's claims, the cells that test them, and the outcome."""
