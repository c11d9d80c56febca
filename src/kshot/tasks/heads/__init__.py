"""Heads: what tells classes apart in vectors of a frozen encoder. They are fitted here, and answer from plain arrays with numpy."""
