"""Tasks, one file each: what a trained method is made to do before metrics look at it."""
