"""The demo's edits change one thing and keep the rest."""

from rota.config.load import load_text
from rota.demo.edits import with_mode, with_replicas

TEXT = """
version: v1
sharing:
  timeSlicing:
    renameByDefault: true
    resources:
    - {name: nvidia.com/gpu, replicas: 4, devices: [0]}
rota:
  turns: {quantum: 200ms}
"""


def test_another_mode_keeps_the_quantum() -> None:
    turns = load_text(with_mode(TEXT, "f", "driver"), "f").config.rota.turns
    assert (turns.mode, turns.quantum) == ("driver", 0.2)


def test_other_replicas_keep_devices_and_name() -> None:
    before = load_text(TEXT, "f").config
    after = load_text(with_replicas(TEXT, "f", 2), "f").config
    assert after.sharing.resources[0].replicas == 2
    assert after.sharing.resources[0].devices == before.sharing.resources[0].devices
    assert after.sharing.rename_by_default
    assert after.rota == before.rota
