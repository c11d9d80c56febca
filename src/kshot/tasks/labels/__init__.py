"""Which labels to give next, and which to look at again."""
