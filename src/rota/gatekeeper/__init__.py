"""The small process that runs the turns and owns the gates; it survives and is survived."""
