"""Prometheus metrics, counted from the events of lives."""
