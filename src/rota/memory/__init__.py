"""Whose memory is whose: limits, ballast, offenders, and whom to page out. Pure decisions.

Nothing here opens a device, a file or a thread, and no clock is read: figures and times come in,
decisions go out. `limits` says what a client is due, `ballast` how much must be held so that it
gets no more and nobody gets less, `report` who is over where nothing is held, `hints` what to tell
frameworks, `paging` whom to page out and when not to, `pager` how a client goes out and comes back
without ever being lost. docs/design/memory.md says why.
"""
