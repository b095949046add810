"""Wires the rooms together: start, stop, reload, recovery."""
