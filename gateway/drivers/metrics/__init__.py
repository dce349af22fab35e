"""Metrics, as Prometheus reads them, from the events of lives."""
