"""Tasks, one file each: they run a trained method and pass the result to metrics."""
