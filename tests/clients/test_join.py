"""From processes, containers, jobs and replicas to clients."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rota.clients.cgroup import ContainerRef
from rota.clients.join import Owner, Sighting, identify, join
from rota.clients.logs import ContainerName
from rota.clients.picture import ClientOnGpu, LocalJob, Picture, ProcessKey, Unmanaged, Why
from rota.clients.processes import ProcessFacts, Trail
from rota.kubelet.pod_resources import PodAllocation
from rota.model import Client, Replica

A, B = "GPU-a", "GPU-b"
MAIN = ContainerName("ml", "train", "main")
SIDE = ContainerName("ml", "train", "side")
POD = ContainerName("ml", "train")
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
LABELS = (("namespace", "ml"), ("pod", "train"), ("container", "main"))
HELD = PodAllocation("ml", "train", "main", "nvidia.com/gpu", (f"{A}::1", f"{A}::0"))
REF, INNER = ContainerRef("uid", "id"), ContainerRef("uid2", "id2")
JOB = LocalJob("night", "ann", 1000, ProcessKey(50, 5), (Replica(A, 3),))


def key(pid: int) -> ProcessKey:
    return ProcessKey(pid, 10 * pid)


def of(pid: int, container: ContainerName | None = None, **owner: object) -> Sighting:
    return Sighting(key(pid), Owner(container, **owner), 1000)  # type: ignore[arg-type]


def nowhere(_: ContainerRef) -> ContainerName | None:
    return None


def facts(pid: int = 9, session: int = 1, owner: int = 1000) -> ProcessFacts:
    return ProcessFacts(key(pid), 1, session, "S", owner)


def test_the_processes_of_a_container_are_one_client() -> None:
    picture = join({A: [of(8, MAIN), of(7, MAIN)]}, [HELD], ())
    one = ClientOnGpu("ml/train/main", A, (Replica(A, 0), Replica(A, 1)), (key(7), key(8)), LABELS)
    assert picture == Picture((one,), ())
    assert picture.whole() == (Client("ml/train/main", one.replicas, frozenset({7, 8}), LABELS),)


def test_two_containers_of_a_pod_are_two_clients() -> None:
    side = PodAllocation("ml", "train", "side", "nvidia.com/gpu", (f"{A}::2",))
    picture = join({A: [of(7, MAIN), of(8, SIDE)]}, [HELD, side], ())
    assert [(c.client, c.processes) for c in picture.clients] == [
        ("ml/train/main", (key(7),)),
        ("ml/train/side", (key(8),)),
    ]


def test_a_client_without_processes_is_one_too() -> None:
    (client,) = join({A: []}, [HELD], ()).clients
    assert client.processes == ()


def test_a_client_on_two_gpus_is_on_each_with_what_it_holds_there() -> None:
    both = PodAllocation("ml", "train", "main", "nvidia.com/gpu", (f"{B}::0", f"{A}::0"))
    picture = join({B: [of(7, MAIN), of(8, MAIN)], A: [of(7, MAIN)]}, [both], ())
    assert [(c.gpu, c.replicas, c.processes) for c in picture.clients] == [
        (A, (Replica(A, 0),), (key(7),)),
        (B, (Replica(B, 0),), (key(7), key(8))),
    ]
    assert picture.on(B) == picture.clients[1:]
    (whole,) = picture.whole()
    assert whole.pids == {7, 8}
    assert whole.replicas == (Replica(A, 0), Replica(B, 0))


def test_what_two_resources_give_of_one_gpu_counts_together() -> None:
    more = PodAllocation("ml", "train", "main", "nvidia.com/gpu.shared", (f"{A}::7",))
    (client,) = join({A: []}, [HELD, more], ()).clients
    assert [replica.ordinal for replica in client.replicas] == [0, 1, 7]


def test_devices_that_are_no_gpu_of_this_node_count_for_nothing() -> None:
    nic = PodAllocation("ml", "train", "main", "example.org/nic", ("eth0", "GPU-z::0"))
    assert join({A: []}, [nic], ()) == Picture()


def test_a_gpu_that_is_not_shared_has_a_client_too() -> None:
    alone = PodAllocation("ml", "train", "main", "nvidia.com/gpu", (A,))
    (client,) = join({A: [of(7, MAIN)]}, [alone], ()).clients
    assert client.replicas == (Replica(A),)


def test_a_process_on_a_gpu_of_which_its_container_holds_nothing_is_unmanaged_with_its_pod() -> (
    None
):
    picture = join({A: [], B: [of(7, MAIN)]}, [HELD], (), {key(7)})
    assert picture.unmanaged == (Unmanaged(B, key(7), Why.NO_REPLICA, False, LABELS),)


def test_a_process_of_a_container_that_holds_nothing_is_pending_while_it_is_young() -> None:
    young = join({A: [of(7, SIDE)]}, [HELD], (), {key(7)})
    old = join({A: [of(7, SIDE)]}, [HELD], ())
    labels = (*LABELS[:2], ("container", "side"))
    assert young.unmanaged == (Unmanaged(A, key(7), Why.NO_REPLICA, True, labels),)
    assert old.unmanaged == (Unmanaged(A, key(7), Why.NO_REPLICA, False, labels),)


def test_a_process_of_which_only_the_pod_is_known_is_pending_while_it_is_young() -> None:
    (one,) = join({A: [of(7, POD)]}, [HELD], (), {key(7)}).unmanaged
    assert (one.pending, one.labels) == (True, LABELS[:2])


def test_a_process_in_a_strange_container_is_pending_while_it_is_young() -> None:
    (one,) = join({A: [of(7, stranger=True)]}, [], (), {key(7)}).unmanaged
    assert (one.why, one.pending, one.labels) == (Why.STRANGER, True, (("uid", "1000"),))


def test_a_process_in_no_container_is_nobodys_at_once() -> None:
    (one,) = join({A: [of(7)]}, [HELD], (), {key(7)}).unmanaged
    assert (one.why, one.pending, one.labels) == (Why.NOBODY, False, (("uid", "1000"),))


def test_a_hidden_process_is_unmanaged() -> None:
    (one,) = join({A: [Sighting(ProcessKey(7, 0))]}, [HELD], ()).unmanaged
    assert (one.why, one.labels) == (Why.HIDDEN, ())


def test_a_local_job_is_a_client() -> None:
    sighting = of(7, job="night", user="ann")
    (client,) = join({A: [sighting]}, [], [JOB]).clients
    assert client == ClientOnGpu(
        "job/night", A, (Replica(A, 3),), (key(7),), (("job", "night"), ("user", "ann"))
    )


def test_what_is_left_of_a_job_that_is_over_is_unmanaged_with_its_name() -> None:
    (one,) = join({A: [of(7, job="night", user="ann")]}, [], [], {key(7)}).unmanaged
    assert (one.why, one.pending) == (Why.NO_REPLICA, False)
    assert one.labels == (("job", "night"), ("user", "ann"))


def test_the_first_container_that_the_kubelet_knows_is_the_owner() -> None:
    trail = Trail(facts(), refs=(REF, INNER))
    assert identify(trail, {INNER: MAIN}.get, (), False) == Owner(MAIN)
    assert identify(trail, {INNER: MAIN, REF: SIDE}.get, (), False) == Owner(SIDE)
    assert identify(trail, {REF: POD, INNER: MAIN}.get, (), False) == Owner(POD)
    assert identify(trail, nowhere, (), False) == Owner(stranger=True)


def test_an_environment_tells_the_container_only_where_it_is_trusted() -> None:
    trail = Trail(facts(), refs=(INNER,), mark=REF)
    assert identify(trail, {REF: MAIN}.get, (), True) == Owner(MAIN)
    assert identify(trail, {REF: MAIN}.get, (), False) == Owner(stranger=True)
    assert identify(trail, {REF: MAIN, INNER: SIDE}.get, (), True) == Owner(SIDE)


def test_a_process_belongs_to_a_job_by_descent_by_session_or_by_its_users_mark() -> None:
    mine = Owner(job="night", user="ann")
    below = Trail(facts(), ancestors=(key(3), JOB.root, key(1)))
    root = Trail(ProcessFacts(JOB.root, 1, 1, "S", 0))
    for trail in (below, root, Trail(facts(session=50)), Trail(facts(), job="night")):
        assert identify(trail, nowhere, [JOB], False) == mine


def test_another_users_process_is_no_part_of_a_job_by_its_environment() -> None:
    assert identify(Trail(facts(owner=1001), job="night"), nowhere, [JOB], False) == Owner()


def test_a_process_that_has_the_pid_of_a_jobs_root_at_another_time_is_not_it() -> None:
    trail = Trail(facts(), ancestors=(ProcessKey(50, 6),))
    assert identify(trail, nowhere, [JOB], False) == Owner()


OWNERS = st.sampled_from(
    [Owner(), Owner(MAIN), Owner(SIDE), Owner(POD), Owner(job="night"), Owner(stranger=True)]
)
PROCESSES = st.dictionaries(st.integers(1, 9), OWNERS, max_size=9)


@EXAMPLES
@given(st.fixed_dictionaries({A: PROCESSES, B: PROCESSES}), st.randoms(use_true_random=False))
def test_each_process_is_on_each_gpu_once_and_order_does_not_matter(
    owners: dict[str, dict[int, Owner]], order: random.Random
) -> None:
    seen = {g: [Sighting(key(p), o, 0) for p, o in found.items()] for g, found in owners.items()}
    picture = join(seen, [HELD], [JOB], {key(1), key(2)})
    for gpu, sightings in seen.items():
        owned = [process for client in picture.on(gpu) for process in client.processes]
        others = [other.process for other in picture.unmanaged if other.gpu == gpu]
        assert sorted(owned + others) == sorted(one.process for one in sightings)
        order.shuffle(sightings)
    mixed = dict(sorted(seen.items(), reverse=True))
    assert join(mixed, [HELD], [JOB], {key(2), key(1)}) == picture
