"""The text behind `rota check --explain`: one section a rule, a module a theme."""

from rota.config.check.sections import (
    cluster,
    keys,
    kustomize,
    node,
    pods,
    settings,
    sharing,
    texts,
)
from rota.config.check.sections.section import Section

ALL: tuple[Section, ...] = (
    *texts.SECTIONS,
    *keys.SECTIONS,
    *sharing.SECTIONS,
    *settings.SECTIONS,
    *cluster.SECTIONS,
    *kustomize.SECTIONS,
    *pods.SECTIONS,
    *node.SECTIONS,
)
