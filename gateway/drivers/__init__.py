"""Implements the ports of `gateway.core.ports`: a package for each external system."""
