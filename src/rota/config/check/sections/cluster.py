"""ConfigMaps, ClusterPolicies, and the steps that bring them in and take them away."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

_POLICY = """
        kind: ClusterPolicy
        spec:
          devicePlugin:
            config: {name: time-slicing-config, default: any}
        """

SECTIONS = (
    Section(
        "configmap-value",
        Level.ERROR,
        "A value in a ConfigMap that is not text",
        """
        The API takes strings only, and refuses the whole ConfigMap. A config goes in as a literal.
        """,
        """
        data:
          any:
            version: v1
        """,
        """
        data:
          any: |
            version: v1
        """,
    ),
    Section(
        "policy-configmap",
        Level.ERROR,
        "A policy names a ConfigMap that is not there",
        """
        The operator's pods mount it, so they hang in ContainerCreating and the node has no GPUs. A
        warning where no ConfigMap was given at all: it may be in the cluster.
        """,
        _POLICY.replace("time-slicing-config", "time-slicing"),
        _POLICY,
    ),
    Section(
        "policy-renamed-configmap",
        Level.ERROR,
        "kustomize renames the ConfigMap, and not the policy that names it",
        """
        A generated ConfigMap gets a hash at the end of its name, and namePrefix and nameSuffix change
        it too. kustomize follows such names in pods, and knows nothing of ClusterPolicies.
        """,
        """
        configMapGenerator:
        - name: time-slicing-config
          files: [any]
        """,
        """
        configMapGenerator:
        - name: time-slicing-config
          files: [any]
        generatorOptions:
          disableNameSuffixHash: true
        """,
    ),
    Section(
        "policy-namespace",
        Level.ERROR,
        "The ConfigMap is not in the operator's namespace",
        """
        The operator looks in its own namespace only: `gpu-operator`, or `gpu-operator-resources` in
        older versions. Steps that restart the device plugin tell where it is. A warning where the
        ConfigMap says no namespace at all.
        """,
        """
        metadata:
          name: time-slicing-config
          namespace: default
        """,
        """
        metadata:
          name: time-slicing-config
          namespace: gpu-operator
        """,
    ),
    Section(
        "policy-default",
        Level.ERROR,
        "A policy's default is no key of its ConfigMap",
        """
        The device plugin's pod ends with `specified config X does not exist` on every node without a
        label of its own, and those nodes have no GPUs.
        """,
        _POLICY.replace("any", "default"),
        _POLICY,
    ),
    Section(
        "policy-no-default",
        Level.WARNING,
        "A policy with a ConfigMap and no default",
        """
        A node without the label `nvidia.com/device-plugin.config` then gets no config: its GPUs are
        not shared.
        """,
        _POLICY.replace(", default: any", ""),
        _POLICY,
    ),
    Section(
        "policy-shape",
        Level.WARNING,
        "`devicePlugin.config` has other fields than `name` and `default`",
        """
        The API drops fields that it does not know, without a word.
        """,
        _POLICY.replace("name:", "configMap:"),
        _POLICY,
    ),
    Section(
        "label-key",
        Level.ERROR,
        "A node's label asks for a config that is not there",
        """
        The device plugin's pod ends on that node, which then has no GPUs.
        """,
        "kubectl label node n1 nvidia.com/device-plugin.config=teslat4   # the key is tesla-t4",
        "kubectl label node n1 nvidia.com/device-plugin.config=tesla-t4",
    ),
    Section(
        "rollback-name",
        Level.ERROR,
        "A rollback step deletes another ConfigMap than the one applied",
        """
        `kubectl delete` says not found, and the config stays.
        """,
        "kubectl delete configmap time-slicing -n gpu-operator",
        "kubectl delete configmap time-slicing-config -n gpu-operator",
    ),
    Section(
        "rollback-namespace",
        Level.ERROR,
        "A rollback step looks in another namespace",
        """
        `kubectl delete` says not found, or deletes a namesake.
        """,
        "kubectl delete configmap time-slicing-config",
        "kubectl delete configmap time-slicing-config -n gpu-operator",
    ),
    Section(
        "rollback-policy",
        Level.ERROR,
        "A rollback step patches another ClusterPolicy",
        """
        The set-up's policy goes on naming the ConfigMap.
        """,
        "kubectl patch clusterpolicy gpu-policy --type=json -p='[…]'   # it is cluster-policy",
        "kubectl patch clusterpolicy cluster-policy --type=json -p='[…]'",
    ),
    Section(
        "rollback-order",
        Level.NOTE,
        "The ConfigMap goes before the policy stops naming it",
        """
        Between the two steps a device plugin that starts finds no ConfigMap and hangs.
        """,
        """
        kubectl delete configmap time-slicing-config -n gpu-operator
        kubectl patch clusterpolicy cluster-policy --type=json -p='[{"op": "remove", …}]'
        """,
        """
        kubectl patch clusterpolicy cluster-policy --type=json -p='[{"op": "remove", …}]'
        kubectl delete configmap time-slicing-config -n gpu-operator
        """,
    ),
    Section(
        "restart-namespace",
        Level.WARNING,
        "A restart of the device plugin in another namespace than the config's",
        """
        The plugin and its ConfigMap live in one namespace: one of the two is wrong.
        """,
        "kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n kube-system",
        "kubectl rollout restart daemonset/nvidia-device-plugin-daemonset -n gpu-operator",
    ),
    Section(
        "kind-unknown",
        Level.NOTE,
        "A kind that is not known here",
        """
        It is not checked, except for containers in it, which are read like a pod's.
        """,
        "kind: Deploymnet",
        "kind: Deployment",
    ),
)
