"""Maps computed from samples, without a network."""
