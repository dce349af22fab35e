"""The ledgers: in Redis, in memory, and local ones for while Redis is unreachable."""
