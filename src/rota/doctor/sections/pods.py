"""Pods on GPUs, and those that do not get there."""

from rota.config.findings import Level
from rota.doctor.section import Section

SECTIONS = (
    Section(
        "unmanaged-pod",
        Level.WARNING,
        "A pod on a shared GPU that holds no replica",
        """
        It set NVIDIA_VISIBLE_DEVICES itself, so it sees GPUs that others were given parts of. Nobody
        counted its time and its memory; it runs beside the turns unless `rota.turns.unmanaged: gate`
        says otherwise.
        """,
        """
        warning  Pod lab/notebook-0: container main sees the GPUs of gpu-1 by NVIDIA_VISIBLE_DEVICES and
                 asks for none
        """,
        """
        # in the pod's spec: no NVIDIA_VISIBLE_DEVICES, and
        #   resources: {limits: {nvidia.com/gpu: 1}}
        """,
    ),
    Section(
        "admission-error",
        Level.ERROR,
        "Pods that the kubelet refused",
        """
        A pod in UnexpectedAdmissionError has ended before it began. Its owner makes a new one, again
        and again, and the dead ones pile up until somebody removes them.
        """,
        """
        error  ReplicaSet default/train-6d8f: 212 pods were refused on gpu-1: … invalid request: maximum
               request size for shared resources is 1; found 2
        """,
        """
        kubectl scale deployment/train --replicas 0 -n default     # stop the flood, mend the cause, then
        kubectl delete pods -n default --field-selector status.phase=Failed
        """,
    ),
    Section(
        "pods-wait",
        Level.NOTE,
        "Pods wait for replicas",
        """
        Every replica that they could have is held. They start when another pod ends, or when there are
        more replicas or nodes.
        """,
        """
        note  Cluster: 3 pods wait for nvidia.com/gpu, all 8 of which are held: default/train-4, …
        """,
        """
        kubectl get pods -A --field-selector status.phase=Pending
        rota top --node gpu-1
        """,
    ),
    Section(
        "pod-ungated",
        Level.WARNING,
        "A pod takes no turns",
        """
        Its gates could not be closed, so it runs beside everybody's turns and slows them down. The
        Event says why: a driver call that failed, a program in a state that cannot be locked.
        """,
        """
        warning  Pod default/train-0: takes no turns: its gate failed to close
        """,
        """
        kubectl get events -A --field-selector source=rota-agent,reason=Ungated
        kubectl delete pod -n default train-0     # a new process starts afresh
        """,
    ),
    Section(
        "over-memory",
        Level.WARNING,
        "A pod uses more GPU memory than its limit",
        """
        Where limits are reported and not enforced, its neighbours find less than they were promised
        and may run out.
        """,
        """
        warning  Pod default/train-0: uses 9.1 GiB of its 4 GiB
        """,
        """
        kubectl get events -A --field-selector source=rota-agent,reason=OverMemoryLimit
        """,
    ),
    Section(
        "not-looked-at",
        Level.NOTE,
        "Something could not be read",
        """
        You have no right to read it, so the rules about it found nothing. The rest was looked at.
        """,
        """
        note  Cluster: daemonsets could not be read: … is forbidden
        """,
        """
        kubectl auth can-i list daemonsets -A
        """,
    ),
)
