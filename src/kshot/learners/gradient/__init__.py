"""Learners whose adaptation is gradient steps on the support loss."""
