"""Writes the reference of all rules: `python -m rota.doctor > docs/reference/doctor.md`."""

import sys

from rota.doctor.registry import reference

sys.stdout.write(reference())
