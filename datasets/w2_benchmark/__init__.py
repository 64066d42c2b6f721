"""The Wasserstein-2 benchmark (Korotin et al. 2021): pairs with known maps."""
