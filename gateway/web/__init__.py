"""Serve: the HTTP face. Keys, limits, parsing, rendering, streams."""
