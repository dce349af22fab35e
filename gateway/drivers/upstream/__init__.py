"""Calls to providers: connections, signing, and what is read of their answers."""
