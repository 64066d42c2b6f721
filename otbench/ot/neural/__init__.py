"""Neural optimal transport with strong and weak costs (Korotin et al. 2022, arXiv 2201.12220)."""
