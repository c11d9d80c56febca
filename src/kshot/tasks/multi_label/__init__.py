"""Things with several labels, or none."""
