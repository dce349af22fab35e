"""One file a table, or a few of a kind. `names.py` lists them in the order they are made."""
