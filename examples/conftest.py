"""Placeholder until the first example."""
