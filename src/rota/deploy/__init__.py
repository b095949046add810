"""What puts Rota into a cluster, and takes it out again.

`manifests` is the one place where the objects are made; `deploy/` in the repository, `rota manifests`
and `rota apply` all have them from there. `apply` and `rollback` speak to the cluster through the
door of `rota.cluster`. What judges a running cluster is no business of this room.
"""
