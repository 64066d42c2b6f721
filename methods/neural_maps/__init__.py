"""Maps represented by neural networks."""
