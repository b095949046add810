"""What pods ask for, and the quotas on it."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

_LIMIT = """
        resources:
          limits:
            nvidia.com/gpu: 1
        """
_QUOTA = """
        kind: ResourceQuota
        spec:
          hard:
            requests.nvidia.com/gpu: 4
        """

SECTIONS = (
    Section(
        "request-without-limit",
        Level.ERROR,
        "A GPU in requests and not in limits",
        """
        GPUs are extended resources: the API refuses a pod whose request has no equal limit. The limit
        alone is enough.
        """,
        _LIMIT.replace("limits", "requests"),
        _LIMIT,
    ),
    Section(
        "request-not-equal",
        Level.ERROR,
        "Requests and limits of a GPU differ",
        """
        Extended resources cannot be overcommitted: the API refuses the pod.
        """,
        """
        resources:
          requests: {nvidia.com/gpu: 1}
          limits: {nvidia.com/gpu: 2}
        """,
        _LIMIT,
    ),
    Section(
        "request-not-integer",
        Level.ERROR,
        "A part of a GPU is asked for",
        """
        Extended resources are counted in whole numbers. A part of a GPU is one replica of it.
        """,
        _LIMIT.replace("1", "0.5"),
        _LIMIT,
    ),
    Section(
        "request-too-many",
        Level.ERROR,
        "A pod asks for more than any node can have",
        """
        The pod waits for ever. The most that a node can have is its replicas per GPU times its GPUs:
        as many as `devices` chooses, or else 16, since no larger node is sold. A warning where the
        replicas do not suffice and whole GPUs of the same name would have to fill up.
        """,
        _LIMIT.replace("1", "100"),
        _LIMIT,
    ),
    Section(
        "request-more-than-one",
        Level.ERROR,
        "Two replicas for one container, which the config refuses",
        """
        Under `failRequestsGreaterThanOne` the device plugin refuses the container, and the pod ends
        with UnexpectedAdmissionError; its owner makes a new one, again and again. A warning where only
        some configs refuse.
        """,
        _LIMIT.replace("1", "2"),
        _LIMIT,
    ),
    Section(
        "several-replicas",
        Level.NOTE,
        "Two replicas for one container",
        """
        They may be of one GPU. NVIDIA's plugin then gives one GPU and no larger part of it; Rota gives
        a double share of time and memory. `rota.allocation.spread: required` keeps them apart.
        """,
        _LIMIT.replace("1", "2"),
        _LIMIT,
    ),
    Section(
        "visible-devices",
        Level.WARNING,
        "A container helps itself to GPUs",
        """
        With NVIDIA_VISIBLE_DEVICES in its spec a container sees GPUs of which it holds no replica. It
        uses time and memory that nobody counted, and Rota shows it as unmanaged.
        """,
        """
        env:
        - {name: NVIDIA_VISIBLE_DEVICES, value: all}
        """,
        _LIMIT,
    ),
    Section(
        "resource-name",
        Level.WARNING,
        "A resource name that is nearly NVIDIA's",
        """
        No device plugin of NVIDIA's serves this name, so the pod waits for ever.
        """,
        _LIMIT.replace("nvidia", "nvida"),
        _LIMIT,
    ),
    Section(
        "resource-renamed",
        Level.ERROR,
        "The old name of a resource that the config renames",
        """
        With `rename` or `renameByDefault` a node has the new name only. Pods that ask for the old one
        wait for ever.
        """,
        _LIMIT,
        _LIMIT.replace("gpu", "gpu.shared"),
    ),
    Section(
        "resource-unserved",
        Level.ERROR,
        "A resource that no config serves",
        """
        The pod waits for ever. A name with `.shared` needs `renameByDefault: true`, one with `mig-`
        needs `migStrategy: mixed`.
        """,
        _LIMIT.replace("gpu", "gpu.shared"),
        _LIMIT,
    ),
    Section(
        "quota-prefix",
        Level.ERROR,
        "A quota on a GPU without `requests.`",
        """
        Kubernetes counts extended resources under `requests.` only. Any other name is taken and never
        counts, so nothing is limited.
        """,
        _QUOTA.replace("requests.", "limits."),
        _QUOTA,
    ),
    Section(
        "quota-resource",
        Level.ERROR,
        "A quota on a resource that no config serves",
        """
        Pods ask for another name, and the quota limits none of them. Renamed resources are the usual
        cause.
        """,
        _QUOTA,
        _QUOTA.replace("gpu:", "gpu.shared:"),
    ),
    Section(
        "quota-value",
        Level.ERROR,
        "A quota on GPUs that is no whole number",
        """
        GPUs are counted in whole numbers.
        """,
        _QUOTA.replace("4", "1.5"),
        _QUOTA,
    ),
)
