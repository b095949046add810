"""Log folders, by which others join pods, uids and containers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rota.kubelet.embedded import EmbeddedKubelet, PodSpec
from rota.kubelet.embedded.logs import Logs

PATIENCE = 30.0


async def test_logs_lie_as_on_a_node_until_the_pod_is_deleted(
    kubelet: EmbeddedKubelet, pod: Callable[..., PodSpec]
) -> None:
    kubelet.add_pod(pod("p", 0, ("echo", "hello"), namespace="team"))
    await kubelet.wait_until(lambda: kubelet.pod("team", "p").over, PATIENCE)
    status = kubelet.pod("team", "p")
    logs = kubelet.folder / "logs"
    path = logs / "pods" / f"team_p_{status.uid}" / "main" / "0.log"
    link = logs / "containers" / f"p_team_main-{status.container().id}.log"
    assert path.read_text() == "hello\n"
    assert link.is_symlink()
    assert link.readlink() == path

    await kubelet.delete_pod("team", "p")
    assert list((logs / "pods").iterdir()) == list((logs / "containers").iterdir()) == []


async def test_logs_stay_when_the_kubelet_stops(
    kubelet: EmbeddedKubelet, pod: Callable[..., PodSpec]
) -> None:
    kubelet.add_pod(pod("p", 0, ("echo", "hello")))
    await kubelet.wait_until(lambda: kubelet.pod("default", "p").over, PATIENCE)
    uid = kubelet.pod("default", "p").uid
    await kubelet.stop()
    path = kubelet.folder / "logs" / "pods" / f"default_p_{uid}" / "main" / "0.log"
    assert path.read_text() == "hello\n"


def test_a_new_start_has_a_file_and_a_link_of_its_own(
    tmp_path: Path, pod: Callable[..., PodSpec]
) -> None:
    logs = Logs(tmp_path)
    logs.prepare()
    spec = pod("p")
    for attempt in (0, 1):
        with logs.open(spec, "uid", "main", attempt, f"id{attempt}") as file:
            file.write(b"%d" % attempt)
    assert [path.name for path in (tmp_path / "containers").iterdir()] == ["p_default_main-id1.log"]
    assert [logs.read(spec, "uid", "main", attempt) for attempt in (0, 1, 2)] == ["0", "1", ""]


def test_a_very_long_name_is_cut_as_the_kubelet_cuts_it(
    tmp_path: Path, pod: Callable[..., PodSpec]
) -> None:
    logs = Logs(tmp_path)
    logs.prepare()
    logs.open(pod("p" * 200), "uid", "main", 0, "f" * 64).close()
    (link,) = (tmp_path / "containers").iterdir()
    assert len(link.name) == 255
