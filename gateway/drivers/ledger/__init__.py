"""Where money is held and settled: in Redis, in memory, and beside a Redis that is away."""
