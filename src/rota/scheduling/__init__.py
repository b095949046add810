"""Who is next, for how long, and why. Pure: a clock is passed in; no I/O, no threads.

`terms` has the words, `order` the rules, `rota` the turns on one GPU, `ensemble` what happens when
a client is on several of them, `log` the turns that were. docs/design/turns.md states the bounds
and why they hold; tests/scheduling proves them in virtual time.
"""
