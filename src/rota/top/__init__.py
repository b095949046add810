"""`rota top`: who has the GPU, who waits, who uses what, in a terminal.

`choice` is what somebody wants to see and the keys that change it, `cells` and `bars` make text of
figures, `screen` puts them together, all pure; `live` alone knows a terminal. No colour says what
is not also written: where there is none, letters stand for clients in the bars.
"""
