"""`rota check`: everything that a set-up is made of, read together and judged together.

`files` opens, `reading` sorts what it finds into the typed objects of `world`, the modules in
`rules` look at that world, and every finding has a section in `sections` that explains it.
"""

from rota.config.check.judge import Report, check

__all__ = ["Report", "check"]
