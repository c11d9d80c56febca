"""The pictures of the pages: one module per picture, `kit` for what they share, `__main__` for drawing them all."""
