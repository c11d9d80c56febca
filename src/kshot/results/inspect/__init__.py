"""What tasks look like: confusion, difficulty, distance from training."""
