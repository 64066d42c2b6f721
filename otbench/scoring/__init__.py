"""What a worker does after the training: score, follow the training, draw pictures."""
