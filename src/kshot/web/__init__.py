"""Adapt and predict over HTTP: the server, the page to try it, and the client."""
