"""Which replicas are listed, and in what state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rota.kubelet.listing import WITHDRAWN, listing_of

if TYPE_CHECKING:
    from tests.kubelet.conftest import Things


def test_all_replicas_of_a_sick_gpu_are_sick_and_no_other(things: Things) -> None:
    listing = listing_of(things.shared(2, gpus=2), {"GPU-1": "Xid 79"}, ())
    assert listing.states == {
        "GPU-0::0": "",
        "GPU-0::1": "",
        "GPU-1::0": "Xid 79",
        "GPU-1::1": "Xid 79",
    }
    assert not listing.draining


def test_what_a_pod_holds_of_what_is_no_more_is_listed_last_and_unhealthy(things: Things) -> None:
    listing = listing_of(things.shared(1), {}, ["GPU-0::0", "GPU-0::2"])
    assert list(listing.states.items()) == [("GPU-0::0", ""), ("GPU-0::2", WITHDRAWN)]
    assert listing.draining == {"GPU-0::2"}
    assert listing.reason("GPU-0::1") is None


def test_a_sick_gpu_makes_its_mig_devices_sick(things: Things) -> None:
    listing = listing_of(things.mig(), {"GPU-0": "lost", "MIG-0-1": "own"}, ())
    assert listing.states == {"MIG-0-0": "lost", "MIG-0-1": "lost"}
