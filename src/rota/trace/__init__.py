"""A stretch of time as a trace: whose turn it was, who waited, and what the GPUs did meanwhile.

`recording` gathers it from an agent, `chrome` writes it in the trace format that Perfetto and
Chrome open, and `plot` draws such a file for a report. Nothing here slows a turn down: all of it is
asked of the agent, which knows it already.
"""
