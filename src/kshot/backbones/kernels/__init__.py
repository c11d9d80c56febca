"""Hand-written operators and their derivatives, which backbones are made of. They import no network."""
