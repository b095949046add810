"""What only a node can tell: said by `rota devices` and by the agent, which know its GPUs."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

_ALL = """
        - name: nvidia.com/gpu
          replicas: 4
        """

_MIXED = """
        flags:
          migStrategy: mixed
        """

_SINGLE = """
        flags:
          migStrategy: single
        """

SECTIONS = (
    Section(
        "resource-not-here",
        Level.WARNING,
        "The node has no such resource",
        """
        NVIDIA's plugin skips the entry without a word, and the GPUs stay whole. One config for
        several kinds of nodes is a good reason for it; a misspelt name is the common one.
        """,
        """
        - name: nvidia.com/gqu
          replicas: 4
        """,
        _ALL,
    ),
    Section(
        "device-not-here",
        Level.WARNING,
        "A device under `devices` is not among the node's devices of that resource",
        """
        The other devices of the list are shared all the same. `rota devices` shows the index and
        the UUID of each.
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
          devices: ["7"]            # on a node with two GPUs
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
          devices: ["1"]
        """,
    ),
    Section(
        "device-shared-twice",
        Level.NOTE,
        "Two entries share one device",
        """
        The larger number of replicas serves, as with NVIDIA's plugin.
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
        - name: nvidia.com/gpu
          replicas: 2
          devices: ["0"]
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
          devices: ["1"]
        - name: nvidia.com/gpu
          replicas: 2
          devices: ["0"]
        """,
    ),
    Section(
        "pattern-without-device",
        Level.NOTE,
        "No device of the node gets its name from a pattern",
        """
        A pattern is held against a GPU's product or a MIG device's profile, the first that matches
        counts, and `*` is the only sign with a meaning. What no pattern matches keeps NVIDIA's
        name.
        """,
        """
        resources:
          gpus:
          - pattern: A-100*
            name: nvidia.com/a100
        """,
        """
        resources:
          gpus:
          - pattern: "*A100*"
            name: nvidia.com/a100
        """,
    ),
    Section(
        "mig-hidden",
        Level.NOTE,
        "A GPU in MIG mode is served as one whole GPU",
        """
        So does NVIDIA's plugin under `migStrategy: none`. CUDA uses one MIG device only, so most of
        the GPU lies idle.
        """,
        """
        flags:
          migStrategy: none
        """,
        _MIXED,
    ),
    Section(
        "mig-empty",
        Level.ERROR,
        "A GPU is in MIG mode and has no MIG device",
        """
        There is nothing of it to serve, and NVIDIA's plugin refuses to start. `nvidia-smi mig -cgi`
        makes MIG devices; `nvidia-smi -mig 0` turns the mode off.
        """,
        _SINGLE,
        """
        flags:
          migStrategy: single       # after: nvidia-smi mig -i 0 -cgi 3g.40gb,3g.40gb -C
        """,
    ),
    Section(
        "mig-single-some",
        Level.ERROR,
        "`migStrategy: single` on a node where only some GPUs are in MIG mode",
        """
        All devices are `nvidia.com/gpu` under it, and a pod could not tell a whole GPU from a MIG
        device. NVIDIA's plugin refuses to start.
        """,
        _SINGLE,
        _MIXED,
    ),
    Section(
        "mig-single-unequal",
        Level.ERROR,
        "`migStrategy: single` on a node with MIG devices of several kinds",
        """
        All devices are `nvidia.com/gpu` under it, and a pod could not tell them apart. NVIDIA's
        plugin refuses to start.
        """,
        _SINGLE,
        _MIXED,
    ),
    Section(
        "mig-no-name",
        Level.WARNING,
        "A MIG device that has no resource name by itself",
        """
        NVIDIA names MIG devices whose compute instance fills their GPU instance, and refuses to
        start on others, such as 1c.3g.40gb. Rota leaves them out until a pattern names them.
        """,
        _MIXED,
        """
        resources:
          mig:
          - pattern: 1c.3g.40gb
            name: nvidia.com/mig-1c.3g.40gb
        """,
    ),
    Section(
        "cdi-not-writable",
        Level.ERROR,
        "The CDI spec cannot be written",
        """
        The strategies `cdi-annotations` and `cdi-cri` give a container names that only a spec in
        the CDI folder explains. Without it no container could start, so the agent refuses the
        config: at its start it ends, later the last good config stays.
        """,
        """
        flags:
          plugin:
            deviceListStrategy: cdi-cri   # and /var/run/cdi is not mounted
        """,
        """
        flags:
          plugin:
            deviceListStrategy: envvar
        """,
    ),
)
