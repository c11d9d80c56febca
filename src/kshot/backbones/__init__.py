"""Stage 1: networks that learners are given. Next: `kshot.learners`."""
