"""Tasks, one file each: what a trained method is asked to do for the metrics."""
