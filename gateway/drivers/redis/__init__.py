"""Redis: connections, servers that stand in for each other, and the private one."""
