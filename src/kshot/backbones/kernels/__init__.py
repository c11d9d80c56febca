"""Hand-written operators with their derivatives, from which backbones are built. No module here imports a network."""
