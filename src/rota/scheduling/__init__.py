"""Who is next, for how long, and why. Pure: a clock is passed in; no I/O, no threads."""
