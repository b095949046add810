"""Which processes are whose: from the pids on a GPU to the clients that hold its replicas.

`cgroup` and `logs` tell the container of a process, `processes` what /proc knows of it, `join` puts
that beside what the kubelet says, and `watch` keeps the picture fresh. Nothing here asks an API
server, and nothing here changes anything.
"""
