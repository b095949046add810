"""What a kubelet hears, and what is said when it does not want to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rota.errors import KubeletError
from rota.kubelet.registration import register

if TYPE_CHECKING:
    from tests.kubelet.conftest import PlainKubelet


async def test_the_kubelets_refusal_is_passed_on(kubelet: PlainKubelet) -> None:
    kubelet.refuse = {"nvidia.com/gpu": "the endpoint is not mine"}
    with pytest.raises(KubeletError) as refused:
        await register(kubelet.folder / "kubelet.sock", "nvidia.com/gpu", "nvidia-gpu.sock")
    assert str(refused.value) == (
        f"{kubelet.folder}/kubelet.sock: "
        "cannot register nvidia.com/gpu: unknown: the endpoint is not mine"
    )


async def test_no_kubelet_is_said(folder: Path) -> None:
    with pytest.raises(KubeletError, match="cannot register r: no such socket"):
        await register(folder / "kubelet.sock", "r", "r.sock")
