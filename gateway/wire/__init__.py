"""Translate: bytes to values and back, one module a dialect. No I/O; feed it bytes."""
