"""docs/reference/cluster.md is what the code says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

from rota.cluster import reasons, rights
from rota.cluster.annotations import table as annotation_table
from rota.cluster.features import Facts, labels
from rota.cluster.labels import STAMP
from rota.config.load import load_text
from rota.emulation.profiles import parse_emulation
from rota.replicas.plan import plan

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cluster.md"

CLASSES = """\
`interactive` begins its turn as soon as it wants one, within its share; `batch` takes what the others
leave, and a thirty-second part of its share beside them, so that it is never starved. All containers
of a pod get what its annotations say. An annotation that is changed while the pod runs counts at once.
`rota.dev/paging: never` keeps a pod on the GPU, also while it idles and somebody needs its memory.

A value that makes no sense counts as the default, and a `BadAnnotation` Event on the pod says so."""

LABELS = """\
Those of GPU feature discovery, so that node selectors written for it go on working, and our own. With
`--labels own` only the last ones. Here for two shared A100s (emulated, so their machine and mode are
not known):"""

OWNERS = """\
They are written by server-side apply as `rota`: a label that is no longer true goes; one that somebody
else owns with another value is theirs, is left alone, and the log names it. `rota.dev/config` names the
text that is served, by the first 16 digits of its SHA-256 (with `--config-map`). `-SHARED` ends the
product's name where it is shared and not renamed. MIG devices have the same labels under their own
resource (`nvidia.com/mig-1g.10gb.count`, …) under `migStrategy: mixed`; multiprocessors, engines and
slices of MIG devices, `imex` and `vgpu` labels are not written."""

EVENTS = """\
`kubectl get events -A --field-selector source=rota-agent` lists them. What repeats is counted in one
Event; in the long run an agent writes one in 20 s, those about the config first. What every node would
say of an edit of the ConfigMap is said by one of them."""

RIGHTS = """\
`rota.cluster.rights.manifests()` makes ClusterRole, Roles and bindings of this table; a test lets an
API server that enforces them be used by an agent, and checks that each right is used and none is
missing. Where an optional one is missing, the log and `/api/v1/status` say what does not happen; it is
tried again every ten minutes or so. Those of `leases`, and `get` and `delete` of pods, only beside
NVIDIA's plugin; that of `pods/eviction` only where a config says `rota.memory.evict`."""


def page() -> str:
    """The whole page, in Markdown."""
    return f"""# In a cluster: annotations, labels, Events, rights

Made from the code: `python tests/cluster/test_reference.py`.

## Annotations of pods

{annotation_table()}

{CLASSES}

## Labels of the node

{LABELS}

{_labels()}

{OWNERS}

## Events

{reasons.table()}

{EVENTS}

## Rights

{rights.table()}

{RIGHTS}
"""


def _labels() -> str:
    text = (
        "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}\nversion: v1\n"
    )
    config, inventory = load_text(text, "config").config, parse_emulation("a100x2")
    found = labels(Facts(inventory, config, plan(config, inventory), config_text=text))
    found[STAMP] = "(seconds since 1970 when they last changed)"
    lines = "\n".join(f"{key}: {value}" for key, value in sorted(found.items()))
    return f"```yaml\n{lines}\n```"


def test_the_reference_is_in_step() -> None:
    assert PAGE.read_text() == page(), "make it anew: python tests/cluster/test_reference.py"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"made {PAGE.name}\n")
