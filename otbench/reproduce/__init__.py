"""Reproductions: what a paper claims, the cells that test it, and what came out."""
