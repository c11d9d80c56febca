"""Ways to the meta-gradient: unrolled, flat, first order, implicit."""
