"""What a learned optimiser is meta-trained on: batches of functions to minimise, drawn by number."""
