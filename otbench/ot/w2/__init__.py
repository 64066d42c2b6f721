"""Wasserstein-2 maps as gradients of trained potentials: plain JAX and optax."""
