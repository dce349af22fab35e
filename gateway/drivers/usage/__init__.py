"""Usage records: kept, searched, handed on."""
