"""What is decided before the first inner step: how tasks are run, and whether memory will do."""
