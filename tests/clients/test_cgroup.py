"""The lines that runtimes write, each with the container that it means."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.clients.cgroup import ContainerRef, candidates, parse

UID = "93580201-87d5-44e6-9779-f6153ca17637"
FLAT = UID.replace("-", "_")
STATIC = "46dac9a538838115821dfd9559149484"
ID = "b2a102854b4969b2ce98dc329c86b4fb2b06e4ad2cc8da9d8a7578c9cd2004a2"
NODE = "744ba5524431986481406cfd13382cbeb7e59a4739dec5ff8b458bc821969662"
SLICES = "/kubepods.slice/kubepods-burstable.slice"

EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
GOLDEN = {
    "v2, systemd, containerd": f"0::{SLICES}/kubepods-burstable-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "v2, systemd, CRI-O": f"0::{SLICES}/kubepods-burstable-pod{FLAT}.slice/crio-{ID}.scope",
    "v2, systemd, CRI-O with crun": f"0::{SLICES}/kubepods-burstable-pod{FLAT}.slice/crio-{ID}.scope/container",
    "v2, systemd, docker": f"0::{SLICES}/kubepods-burstable-pod{FLAT}.slice/docker-{ID}.scope",
    "v2, systemd, guaranteed": f"0::/kubepods.slice/kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "v2, cgroupfs, besteffort": f"0::/kubepods/besteffort/pod{UID}/{ID}",
    "v2, cgroupfs, guaranteed": f"0::/kubepods/pod{UID}/{ID}",
    "v2, cgroupfs, CRI-O": f"0::/kubepods/burstable/pod{UID}/crio-{ID}",
    "v2, the container's own cgroups": f"0::/kubepods/pod{UID}/{ID}/init.scope",
    "v2, a cgroup that is gone": f"0::/kubepods/burstable/pod{UID}/{ID} (deleted)",
    "v2, seen from another class": f"0::/../../../kubepods-burstable.slice/kubepods-burstable-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "v2, seen from a sibling pod, systemd": f"0::/../../kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "v2, seen from a sibling pod, cgroupfs": f"0::/../../pod{UID}/{ID}",
    "v1, cgroupfs": f"11:memory:/kubepods/burstable/pod{UID}/{ID}\n1:name=systemd:/kubepods/burstable/pod{UID}/{ID}",
    "v1, systemd": f"12:cpuset:{SLICES}/kubepods-burstable-pod{FLAT}.slice/crio-{ID}.scope\n11:files:/",
    "v1 beside an empty v2": f"4:memory:/kubepods/pod{UID}/{ID}\n0::/",
    "v1, one controller elsewhere": f"9:cpuset:/\n8:devices:/system.slice/kubelet.service\n4:memory:/kubepods/pod{UID}/{ID}",
    "containerd, a systemd path under cgroupfs": f"0::/system.slice/containerd.service/kubepods-burstable-pod{FLAT}.slice:cri-containerd:{ID}",
    "the same at the root": f"9:cpuset:/kubepods-besteffort-pod{FLAT}.slice:cri-containerd:{ID}",
    "kind, v1": f"5:cpu,cpuacct:/docker/{NODE}/kubelet/kubepods/besteffort/pod{UID}/{ID}",
    "kind, v2, cgroupfs": f"0::/kubelet/kubepods/besteffort/pod{UID}/{ID}",
    "kind, v2, systemd": f"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "kind, from its host": f"0::/system.slice/docker-{NODE}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "k3s": f"0::/k3s/kubepods/besteffort/pod{UID}/{ID}",
    "k3d on docker": f"6:pids:/docker/{NODE}/k3s/kubepods/burstable/pod{UID}/{ID}",
    "rootless": f"0::/user.slice/user-1000.slice/user@1000.service/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{FLAT}.slice/cri-containerd-{ID}.scope",
    "docker inside a pod": f"0::/kubepods/burstable/pod{UID}/{ID}/docker/{NODE}",
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_a_container_of_a_pod_is_read_from(name: str) -> None:
    assert parse(GOLDEN[name] + "\n") == ContainerRef(UID, ID)


@pytest.mark.parametrize(
    "text",
    [
        f"0::/kubelet/kubepods/burstable/pod{STATIC}/{ID}",
        f"0::{SLICES}/kubepods-burstable-pod{STATIC}.slice/cri-containerd-{ID}.scope",
    ],
)
def test_a_static_pods_uid_is_a_hash(text: str) -> None:
    assert parse(text) == ContainerRef(STATIC, ID)


@pytest.mark.parametrize(
    "text",
    [
        f"3:cpu:/docker/{ID}",
        f"0::/system.slice/docker-{ID}.scope",
        f"0::/machine.slice/libpod-{ID}.scope/container",
        f"0::/../cri-containerd-{ID}.scope",
        f"0::/../{ID}",
    ],
)
def test_a_container_without_a_pod_in_sight_has_its_id_alone(text: str) -> None:
    assert parse(text) == ContainerRef("", ID)


def test_a_process_in_the_pods_own_cgroup_has_the_pod_alone() -> None:
    assert parse(f"0::{SLICES}/kubepods-burstable-pod{FLAT}.slice") == ContainerRef(UID, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0::/",
        "0::/user.slice/user-1000.slice/session-2.scope",
        "0::/system.slice/containerd.service",
        "4:memory:/process_api/738cf876c862bb762b1b11b8ba79cdd3",
        f"0::/system.slice/crio-conmon-{ID}.scope",
        f"0::/kubepods/besteffort/podless/{ID[:12]}",
        f"0::/{ID}0",
        "no colons at all",
    ],
)
def test_a_process_in_no_container_is_in_none(text: str) -> None:
    assert parse(text) is None


def test_a_container_cannot_pass_for_another_by_cgroups_of_its_own() -> None:
    mine, other = UID, "00000000-1111-2222-3333-444444444444"
    text = f"0::/kubepods/pod{mine}/{ID}/kubepods/pod{other}/{NODE}"
    assert candidates(text) == (ContainerRef(mine, ID), ContainerRef(other, NODE))


def test_a_pod_comes_before_a_container_around_it() -> None:
    text = f"0::/docker/{NODE}/kubepods/pod{UID}/{ID}"
    assert candidates(text) == (ContainerRef(UID, ID), ContainerRef("", NODE))


SEEN = st.sampled_from(
    ["/", ":", "pod", UID, FLAT, ID, ".slice", ".scope", "-", "\n", "crio-", "x"]
)


@EXAMPLES
@given(st.one_of(st.text(), st.lists(SEEN).map("".join)))
def test_any_text_gives_a_container_or_none(text: str) -> None:
    ref = parse(text)
    assert ref is None or ref.pod_uid or ref.container_id
    if ref:
        assert re.fullmatch(r"[0-9a-f-]{32,36}|", ref.pod_uid)
        assert re.fullmatch(r"[0-9a-f]{64}|", ref.container_id)


@EXAMPLES
@given(
    st.uuids(), st.binary(min_size=32, max_size=32), st.lists(st.sampled_from("abc"), max_size=4)
)
def test_any_prefix_is_passed_over(uid: object, id_: bytes, prefix: list[str]) -> None:
    path = "/".join(["", *prefix, f"pod{uid}", id_.hex()])
    assert parse(f"0::{path}") == ContainerRef(str(uid), id_.hex())
