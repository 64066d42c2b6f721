"""Transport between discrete measures: plans, barycentres, entropic and weak transport."""
