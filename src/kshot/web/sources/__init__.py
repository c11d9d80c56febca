"""What tasks are made with: saved learners, frozen encoders with a head, and fitted models."""
