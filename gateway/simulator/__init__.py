"""Pretend: providers that are not there. Speaks their wire formats and keeps its own bill."""
