"""kustomizations and the patches in them."""

from rota.config.check.sections.section import Section
from rota.config.findings import Level

SECTIONS = (
    Section(
        "patch-target-missing",
        Level.ERROR,
        "A patch is for an object that is in none of the resources",
        """
        With a `target`, kustomize drops such a patch without a word, and what it says never reaches
        the cluster; without one the build fails. The GPU operator's ClusterPolicy is made by its Helm
        chart, so it is in the cluster and not in the resources: patch it there.
        """,
        """
        patches:
        - path: cluster-policy.yaml
          target: {kind: ClusterPolicy, name: cluster-policy}
        """,
        """
        kubectl patch clusterpolicy cluster-policy --type merge --patch-file cluster-policy.yaml
        """,
    ),
    Section(
        "patch-path",
        Level.ERROR,
        "A JSON patch speaks of a place that is not there",
        """
        `remove` and `replace` need what they are about, and `add` needs the parent. One operation that
        fails makes the whole patch fail.
        """,
        """
        - op: remove
          path: /spec/devicePlugin/configMap
        """,
        """
        - op: remove
          path: /spec/devicePlugin/config
        """,
    ),
    Section(
        "kustomize-field",
        Level.ERROR,
        "A field of a kustomization that kustomize does not take",
        """
        kustomize refuses unknown fields and wrong types, so the build fails.
        """,
        """
        resource:
        - configmap.yaml
        """,
        """
        resources:
        - configmap.yaml
        """,
    ),
    Section(
        "kustomize-remote",
        Level.NOTE,
        "A resource that is elsewhere",
        """
        `rota check` opens no connections. What the address brings is not checked.
        """,
        """
        resources:
        - https://example.com/gpu.yaml
        """,
        """
        resources:
        - gpu.yaml
        """,
    ),
    Section(
        "kustomize-cycle",
        Level.ERROR,
        "A kustomization includes itself",
        """
        kustomize refuses a cycle of bases.
        """,
        """
        resources:
        - ../overlay      # this very folder
        """,
        """
        resources:
        - ../base
        """,
    ),
)
