"""Writes the reference of all rules: `python -m rota.config.check > docs/reference/check.md`."""

import sys

from rota.config.check.registry import reference

sys.stdout.write(reference())
