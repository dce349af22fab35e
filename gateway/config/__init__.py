"""Read: YAML files to one immutable snapshot, checked whole before it is used."""
