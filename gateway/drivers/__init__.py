"""Act: what implements the ports of `gateway.core.ports`, a room for each thing outside."""
