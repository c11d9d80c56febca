"""The public contract suite: what every learner must do, and the message where it does not."""
