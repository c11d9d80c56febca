"""What puts the stages together, one module per command or question."""
