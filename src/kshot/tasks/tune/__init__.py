"""Fine-tuning an encoder on a user's own few examples, kept only if answers that it did not see say so."""
