"""A command is two files: what it does, and in *_app.py its options and what is printed."""
