"""Methods that interpolate images without learning a latent code."""
