"""Several learners on the same episodes: paired differences, cost, a sentence."""
