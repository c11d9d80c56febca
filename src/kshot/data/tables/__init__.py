"""Tables: synthetic ones, drawn from a prior; and those of users, in files."""
