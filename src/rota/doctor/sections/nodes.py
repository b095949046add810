"""Nodes, the plugins on them, and what they offer."""

from rota.config.findings import Level
from rota.doctor.section import Section

SECTIONS = (
    Section(
        "no-gpus",
        Level.WARNING,
        "No node offers a GPU or says that it has one",
        """
        Pods that ask for GPUs wait for ever. A node has GPUs for the cluster once a device plugin
        runs on it; before that, labels of node feature discovery tell of them.
        """,
        """
        warning  Cluster: 3 nodes, and none has GPUs by its capacity or its labels
        """,
        """
        kubectl get nodes -L nvidia.com/gpu.present,feature.node.kubernetes.io/pci-10de.present
        """,
    ),
    Section(
        "plugin-not-registered",
        Level.ERROR,
        "A node with GPUs offers none",
        """
        Without a device plugin that has registered with its kubelet, a node has no GPUs for pods. No
        plugin runs there, or it runs and could not register: the driver is not there, its config does
        not parse, or its socket is not where the kubelet looks.
        """,
        """
        error  Node gpu-1: has GPUs by its labels, and offers none: no device plugin runs on it
        """,
        """
        kubectl get pods -A -o wide --field-selector spec.nodeName=gpu-1 | grep -e plugin -e rota
        kubectl logs -n gpu-operator nvidia-device-plugin-daemonset-x7k2p
        """,
    ),
    Section(
        "plugin-not-ready",
        Level.ERROR,
        "A pod that serves GPUs is not ready",
        """
        Its node keeps GPUs for running pods only, or has none. The kubelet's words say what it hangs
        on; a ConfigMap that is not there and a config that does not parse are the usual causes.
        """,
        """
        error  Pod gpu-operator/nvidia-device-plugin-daemonset-x7k2p: NVIDIA's plugin on gpu-1 is not
               ready: CrashLoopBackOff: back-off 5m0s restarting failed container
        """,
        """
        kubectl describe pod -n gpu-operator nvidia-device-plugin-daemonset-x7k2p
        kubectl logs -n gpu-operator nvidia-device-plugin-daemonset-x7k2p --all-containers --previous
        """,
    ),
    Section(
        "two-plugins",
        Level.ERROR,
        "Two plugins serve one node",
        """
        The kubelet keeps the one that registered last, and each of them counts only what it gave out
        itself. So a GPU may be given twice, and a restart of either changes what the node offers.
        """,
        """
        error  Node gpu-1: NVIDIA's plugin (gpu-operator/…-x7k2p) and Rota's agent (rota/rota-5zv9c)
               both serve it
        """,
        """
        # keep NVIDIA's: let the agent stand beside it
        rota agent --beside-nvidia …
        # keep Rota's: switch the operator's off
        kubectl patch clusterpolicy cluster-policy --type merge \\
          -p '{"spec":{"devicePlugin":{"enabled":false}}}'
        """,
    ),
    Section(
        "driver-too-old",
        Level.WARNING,
        "The driver is too old for turns",
        """
        Gates are closed with the driver's checkpoint API, which came with driver 570. With an older
        one the agent serves replicas and figures, and programs share the GPU by the driver's own
        slicing.
        """,
        """
        warning  Node gpu-1: driver 550.144.03 cannot close gates: its pods take no turns
        """,
        """
        kubectl get nodes -L nvidia.com/cuda.driver-version.full
        # install driver 570 or later; with the operator:
        kubectl patch clusterpolicy cluster-policy --type merge \\
          -p '{"spec":{"driver":{"version":"580.95.05"}}}'
        """,
    ),
    Section(
        "driver-known-bad",
        Level.ERROR,
        "A driver that harms programs whose gates are closed",
        """
        With this driver closing a gate was seen to end the program behind it. The agent does not take
        turns there, and the driver should be replaced before somebody else locks a program.
        """,
        """
        error  Node gpu-1: driver 610.57.01: a lock was seen to end the locked program
        """,
        """
        kubectl get nodes -L nvidia.com/cuda.driver-version.full
        """,
    ),
    Section(
        "over-capacity",
        Level.WARNING,
        "Pods hold more replicas than the node now offers",
        """
        After an edit to fewer replicas running pods keep theirs, and the GPU is cut into more parts
        than the config says until some of them have ended. No new pod is placed meanwhile.
        """,
        """
        warning  Node gpu-1: pods hold 4 nvidia.com/gpu of the 2 that it offers: default/train-0, …
        """,
        """
        kubectl delete pod -n default train-0     # or wait until two of them have ended
        """,
    ),
    Section(
        "replicas-unhealthy",
        Level.ERROR,
        "Replicas that cannot be given",
        """
        The plugin marks the replicas of a GPU that fails as unhealthy; the node offers fewer than it
        has. NVIDIA's plugin never takes a GPU back, Rota's agent does once it is well for a minute.
        """,
        """
        error  Node gpu-1: 4 of its 8 nvidia.com/gpu are unhealthy
        """,
        """
        kubectl logs -n rota rota-5zv9c -c agent | grep -i -e unhealthy -e xid
        """,
    ),
    Section(
        "allocatable-unlike-config",
        Level.ERROR,
        "A node offers another number than its config makes",
        """
        The plugin serves another config than the one that it should. NVIDIA's passes over misspelt
        keys and names of resources that the node lacks without a word, and reads its config only when
        it starts.
        """,
        """
        error  Node gpu-1: offers nvidia.com/gpu: 1, and key any of gpu-operator/time-slicing-config
               makes nvidia.com/gpu: 4 of its GPUs
        """,
        """
        kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-operator
        """,
    ),
)
