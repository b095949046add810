"""Files that cannot be read, and texts that are no YAML."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

SECTIONS = (
    Section(
        "syntax",
        Level.ERROR,
        "The text is no YAML",
        """
        The place is where the parser gave up; the mistake is there or just above. YAML indents with
        spaces only. NVIDIA's plugin ends when its config does not parse, and the node has no GPUs.
        """,
        """
        sharing:
        \ttimeSlicing:
        """,
        """
        sharing:
          timeSlicing:
        """,
    ),
    Section(
        "not-utf8",
        Level.ERROR,
        "The file is no text",
        """
        Configs and manifests are UTF-8. The place is the first byte that is not.
        """,
        "# K\\xfcche (saved as Latin-1)",
        "# Küche (saved as UTF-8)",
    ),
    Section(
        "too-large",
        Level.ERROR,
        "The text is larger than any config can be",
        """
        A ConfigMap holds 1 MiB at most, so a config that is larger can never reach a node. Manifests
        may have up to 16 MiB here.
        """,
        "rota check /var/log/syslog",
        "rota check config.yaml",
    ),
    Section(
        "file-missing",
        Level.ERROR,
        "A file that another one names is not there",
        """
        kustomize and kubectl fail at it. The path counts from the folder of the file that names it.
        """,
        """
        resources:
        - configmap.yml      # the file is configmap.yaml
        """,
        """
        resources:
        - configmap.yaml
        """,
    ),
    Section(
        "file-unreadable",
        Level.ERROR,
        "A file in the folder cannot be read",
        """
        Rights are missing, it is a pipe or a device, or it is larger than 16 MiB. Everything else in
        the folder was still checked.
        """,
        "rota check folder-with-a-pipe",
        "cat pipe | rota check -",
    ),
    Section(
        "template",
        Level.NOTE,
        "A template is no manifest yet",
        """
        Helm's and other templates become YAML only when they are rendered. The file was left out.
        """,
        """
        metadata:
          name: {{ .Release.Name }}
        """,
        """
        # helm template my-release chart | rota check -
        metadata:
          name: my-release
        """,
    ),
    Section(
        "no-config",
        Level.ERROR,
        "The agent has no config from its cluster",
        """
        Its ConfigMap was not read yet, or has no key for this node: none that the node's label
        names, no default, and not just one. Nothing is served until there is one.
        """,
        "rota agent --config-map gpu-operator-resources/time-slicing-config",
        "kubectl label node gpu-1 nvidia.com/device-plugin.config=any",
    ),
    Section(
        "unreadable-config",
        Level.ERROR,
        "The agent cannot read its config",
        """
        The file is gone, or the agent has no right to read it. The last config that was good is
        served on.
        """,
        "rota agent --config /etc/rota/confg.yaml",
        "rota agent --config /etc/rota/config.yaml",
    ),
)
