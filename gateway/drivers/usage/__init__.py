"""Usage records: exported to a store, and searched."""
