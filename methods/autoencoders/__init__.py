"""Methods with a code."""
