"""The kubelet's APIs: device plugin, registration, pod resources; and an embedded kubelet."""
