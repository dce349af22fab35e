"""What is kept of each call, and what such records add up to."""
