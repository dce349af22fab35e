"""Usage records of calls, and their sums."""
