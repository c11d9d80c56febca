"""Tables of numbers and categories: rows become vectors, and a label column says whether it holds classes or a quantity."""
