"""Frozen networks from outside: photographs, texts, numbers or ink in, one vector per thing out."""
