"""Queries of dashboards and alerts, held against the catalogue."""

from __future__ import annotations

import re

from rota.errors import RotaError
from rota.figures.catalogue import names

_METRIC = re.compile(r"\brota_[a-z0-9_]+")


class UnknownMetric(RotaError):
    """A query names a metric that Rota does not have."""


def checked(expression: str) -> str:
    """The same PromQL expression.

    Raises:
        UnknownMetric: it names a metric that is not in the catalogue.
    """
    unknown = sorted(set(_METRIC.findall(expression)) - names())
    if unknown:
        raise UnknownMetric(f"there is no metric {', '.join(unknown)}", where=expression)
    return expression
