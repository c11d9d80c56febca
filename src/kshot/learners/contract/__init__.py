"""The public contract suite: what every learner must do, and the message if it does not."""
