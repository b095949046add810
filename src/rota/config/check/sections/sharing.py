"""What is shared, into how many replicas, and under which name."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

_GOOD = """
        sharing:
          timeSlicing:
            resources:
            - name: nvidia.com/gpu
              replicas: 4
        """

SECTIONS = (
    Section(
        "nothing-shared",
        Level.NOTE,
        "The config shares nothing",
        """
        It is valid, and each GPU stays one. An empty file says the same.
        """,
        "version: v1",
        _GOOD,
    ),
    Section(
        "no-resources",
        Level.ERROR,
        "A sharing block without resources",
        """
        NVIDIA's plugin ends with `no resources specified`. To share nothing, remove the block.
        """,
        """
        sharing:
          timeSlicing: {}
        """,
        _GOOD,
    ),
    Section(
        "no-resource-name",
        Level.ERROR,
        "A shared resource without a name",
        """
        NVIDIA's plugin ends with `no resource name specified`.
        """,
        "- replicas: 4",
        """
        - name: nvidia.com/gpu
          replicas: 4
        """,
    ),
    Section(
        "bad-resource-name",
        Level.ERROR,
        "A resource name that cannot be",
        """
        A name is `nvidia.com/` and a word of lower-case letters, digits, `-` and `.`, 63 characters in
        all; without a domain it gets `nvidia.com/`, and another domain is refused.
        """,
        "- name: example.com/gpu",
        "- name: nvidia.com/gpu",
    ),
    Section(
        "no-replicas",
        Level.ERROR,
        "A shared resource without a number of replicas",
        """
        NVIDIA's plugin ends with `no replicas specified`.
        """,
        "- name: nvidia.com/gpu",
        """
        - name: nvidia.com/gpu
          replicas: 4
        """,
    ),
    Section(
        "too-few-replicas",
        Level.ERROR,
        "Fewer than two replicas",
        """
        A GPU that is shared has 2 replicas at least. To share nothing, remove the entry.
        """,
        "replicas: 1",
        "replicas: 2",
    ),
    Section(
        "replicas-many",
        Level.WARNING,
        "So many replicas that a share is of little use",
        """
        Time and memory are divided by the number of replicas. A CUDA context alone takes some 500 MiB,
        so an 80 GiB GPU cannot even hold 160 programs that do nothing.
        """,
        "replicas: 1024",
        "replicas: 8",
    ),
    Section(
        "memory-unlimited",
        Level.NOTE,
        "Nothing in the file limits the memory of a replica",
        """
        Time-slicing of NVIDIA's plugin limits no memory: one replica can take all of it, and the
        others fail with out-of-memory errors. Rota holds each client to its share, as long as its
        programs take turns. `limit: none` and `enforce: report` give that up, which is a warning;
        so does `mode: driver`, where no turn tells who may allocate now.
        """,
        """
        rota:
          memory:
            limit: none
        """,
        """
        rota:
          memory:
            limit: share
            enforce: hard
        """,
    ),
    Section(
        "same-resource-twice",
        Level.WARNING,
        "A resource is listed twice",
        """
        NVIDIA's plugin serves the larger number. Two entries make sense in Rota where each is for
        other `devices`.
        """,
        """
        - name: nvidia.com/gpu
          replicas: 2
        - name: nvidia.com/gpu
          replicas: 4
        """,
        """
        - name: nvidia.com/gpu
          replicas: 4
        """,
    ),
    Section(
        "bad-devices",
        Level.ERROR,
        "`devices` is none of what it can be",
        """
        It is `all`, a count above 0, or a list of indexes (`0`, `"0:1"`) and UUIDs.
        """,
        "devices: some",
        "devices: [0, 1]",
    ),
    Section(
        "no-devices",
        Level.WARNING,
        "A list of no devices",
        """
        The entry then shares nothing. NVIDIA's plugin ignores `devices` and would share all.
        """,
        "devices: []",
        "devices: all",
    ),
    Section(
        "devices-ignored-by-nvidia",
        Level.NOTE,
        "Rota honours `devices`, NVIDIA's plugin does not",
        """
        NVIDIA's plugin reads `devices` and shares all GPUs alike. With Rota some GPUs of a node can
        be whole and others shared. The file means two things as long as both plugins read it.
        """,
        "devices: [0]      # under NVIDIA's plugin: all",
        "devices: all      # the same under both",
    ),
    Section(
        "rename-ignored-by-nvidia",
        Level.NOTE,
        "Rota honours `rename`, NVIDIA's plugin does not",
        """
        NVIDIA's plugin reads `rename` and serves the old name (or `<name>.shared` with
        `renameByDefault`). Pods that ask for the new name run under Rota only.
        """,
        """
        - name: nvidia.com/gpu
          rename: nvidia.com/gpu-small
          replicas: 4
        """,
        """
        renameByDefault: true      # nvidia.com/gpu.shared under both
        resources:
        - name: nvidia.com/gpu
          replicas: 4
        """,
    ),
    Section(
        "resources-ignored-by-nvidia",
        Level.NOTE,
        "Rota honours `resources`, NVIDIA's plugin does not",
        """
        NVIDIA's plugin reads the patterns under `resources` and throws them away.
        """,
        """
        resources:
          gpus:
          - pattern: "*H200*"
            name: nvidia.com/h200
        """,
        "# leave it out where NVIDIA's plugin reads the file too",
    ),
    Section(
        "mps-wins",
        Level.WARNING,
        "Both `mps` and `timeSlicing` are there",
        """
        `mps` wins, and `timeSlicing` is dropped without a word.
        """,
        """
        sharing:
          mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}
          timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 8}]}
        """,
        """
        sharing:
          timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 8}]}
        """,
    ),
    Section(
        "mps-served-as-replicas",
        Level.WARNING,
        "Rota serves `mps` as replicas",
        """
        Rota runs no MPS daemon: the replicas take turns, each with its share of memory.
        """,
        """
        sharing:
          mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}
        """,
        """
        sharing:
          timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}
        """,
    ),
    Section(
        "no-pattern",
        Level.ERROR,
        "An entry under `resources` without a pattern",
        """
        A pattern says which products get the name; NVIDIA's plugin refuses an entry without one.
        """,
        """
        resources:
          gpus:
          - name: nvidia.com/h200
        """,
        """
        resources:
          gpus:
          - pattern: "*H200*"
            name: nvidia.com/h200
        """,
    ),
    Section(
        "no-name",
        Level.ERROR,
        "An entry under `resources` without a name",
        """
        The name is what pods ask for; NVIDIA's plugin refuses an entry without one.
        """,
        """
        resources:
          gpus:
          - pattern: "*H200*"
        """,
        """
        resources:
          gpus:
          - pattern: "*H200*"
            name: nvidia.com/h200
        """,
    ),
)
