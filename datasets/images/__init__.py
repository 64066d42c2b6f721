"""Collections of images."""
