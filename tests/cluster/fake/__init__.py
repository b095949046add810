"""A small Kubernetes API over real HTTP: what the agent uses of it, as the real one behaves.

resourceVersions, watches with bookmarks, history that is forgotten (410), conflicts (409), field
selectors, metadata-only answers, server-side apply of labels with owners, rights by RBAC rules, and
faults on demand: away, slow, forbidden. What it does not know, it refuses with 501.
"""

from tests.cluster.fake.server import FakeCluster
from tests.cluster.fake.store import Problem, Store

__all__ = ["FakeCluster", "Problem", "Store"]
