"""A finished request as one line of a log."""
