"""The text behind `rota doctor --explain`: one section a rule, a module a theme."""

from rota.doctor.section import Section
from rota.doctor.sections import configs, nodes, pods

ALL: tuple[Section, ...] = (*nodes.SECTIONS, *configs.SECTIONS, *pods.SECTIONS)
