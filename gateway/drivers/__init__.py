"""Act: each driver implements one port of `gateway.core.ports`, one file for each thing outside."""
