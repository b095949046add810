"""The rules, a module a theme. Each looks at the whole world and yields findings."""

from rota.config.check.registry import Theme
from rota.config.check.rules import names, objects, policies, quotas, requests, rollback, sharing

THEMES: tuple[Theme, ...] = (
    policies.THEME,
    requests.THEME,
    names.THEME,
    quotas.THEME,
    rollback.THEME,
    sharing.THEME,
    objects.THEME,
)
