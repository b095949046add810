"""The main job, shown on this machine: one GPU becomes several, pods run on them, one more waits.

Everything in it is the real thing but the kubelet, which is the embedded one, and, where this
machine has no GPU, the GPU, which is emulated and says so. The agent is a process of its own, the
pods are processes of their own, and what is shown is what was measured.
"""
