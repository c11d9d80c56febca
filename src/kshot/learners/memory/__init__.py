"""Learners that read a support set into a memory, item after item, and answer queries from it."""
