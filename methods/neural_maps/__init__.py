"""Maps given by networks."""
