"""The agent as a citizen of its Kubernetes cluster: its config, its labels, pods' wishes, Events.

Only this room speaks to the Kubernetes API, through one door (`door.Api`), with one HTTP client
behind it (`kube`). It is imported only where a cluster was asked for: the client costs some 15 MB and a
third of a second, which an agent without a cluster does not pay. Neither GPUs nor the kubelet may
enter: the agent brings what is known of them.
"""
