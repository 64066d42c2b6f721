"""Methods that interpolate images without learning a code."""
