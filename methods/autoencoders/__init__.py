"""Methods with a latent code."""
