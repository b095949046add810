"""What a look at /proc tells, and when it tells nothing."""

from __future__ import annotations

import os
import resource

import pytest

from rota.jobs import processes


def test_without_a_descriptor_left_nobody_is_taken_for_ended() -> None:
    """An empty answer would end every job."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = os.open(os.devnull, os.O_RDONLY)
    os.close(least)
    for room in (1, 2):  # for the list of processes; for that and the folder of one
        resource.setrlimit(resource.RLIMIT_NOFILE, (least + room - 1, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                processes.look()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert os.getpid() in {seen.process.pid for seen in processes.look()}
