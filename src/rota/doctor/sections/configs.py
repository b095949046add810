"""ConfigMaps, and who names them."""

from rota.config.findings import Level
from rota.doctor.section import Section

SECTIONS = (
    Section(
        "configmap-missing",
        Level.ERROR,
        "The ConfigMap that is named is not there",
        """
        NVIDIA's plugin hangs in ContainerCreating and its nodes have no GPUs; Rota's agent advertises
        nothing until there is a config. One in another namespace does not count: each looks where it
        was told, and the operator in its own namespace only.
        """,
        """
        error  ClusterPolicy cluster-policy: names ConfigMap gpu-operator/time-slicing-config, which is
               not there; one of that name is in default
        """,
        """
        kubectl get configmap time-slicing-config -n default -o yaml \\
          | sed 's/namespace: default/namespace: gpu-operator/' | kubectl apply -f -
        """,
    ),
    Section(
        "key-missing",
        Level.ERROR,
        "A key that the ConfigMap does not have",
        """
        A node's label, or the default, names a config that is not there. NVIDIA's plugin ends with
        `specified config X does not exist` and the node has no GPUs; Rota's agent keeps the last good
        config.
        """,
        """
        error  Node gpu-7: its label names the key `mnay`, which gpu-operator/time-slicing-config does
               not have
        """,
        """
        kubectl label node gpu-7 nvidia.com/device-plugin.config=many --overwrite
        """,
    ),
    Section(
        "config-not-reread",
        Level.ERROR,
        "The ConfigMap was edited after NVIDIA's plugin started",
        """
        NVIDIA's plugin reads its config once, when it starts, so it serves what was there before. Beside
        it, Rota's agent restarts it after an edit that checks out.
        """,
        """
        error  ConfigMap gpu-operator/time-slicing-config: edited at 14:02, and NVIDIA's plugin on gpu-1
               and 3 more nodes started before
        """,
        """
        kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-operator
        """,
    ),
    Section(
        "config-refused",
        Level.ERROR,
        "An agent refused the last edit",
        """
        What was good before is served on, so nothing is broken yet; the edit has no effect until it is
        corrected.
        """,
        """
        error  ConfigMap rota/time-slicing-config: an agent refused it: key any, line 5: …
        """,
        """
        kubectl edit configmap time-slicing-config -n rota
        kubectl get events -A --field-selector source=rota-agent,reason=ConfigRefused
        """,
    ),
)
