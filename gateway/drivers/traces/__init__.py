"""Traces, as OpenTelemetry has them, from the events of lives."""
