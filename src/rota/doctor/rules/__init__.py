"""The rules, a module a theme. Each looks at the whole world and yields findings. Pure."""

from rota.doctor.registry import Rule
from rota.doctor.rules import configs, nodes, pods

ALL: tuple[Rule, ...] = (*nodes.RULES, *configs.RULES, *pods.RULES)
