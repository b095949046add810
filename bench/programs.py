"""Programs as people run them on a GPU, each with results that can be compared to the bit.

    python bench/programs.py KIND OUT STOP [CHECKS]

Each computes one long chain and notes every so often where it is: a line of JSON with the time, how
many checks there were, and a digest of all that was computed so far. It ends when the file STOP
exists, or after so many CHECKS; so a second run, alone and ungated, can be held against the first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0")

SIZE = 1024
FAMILY = 4

Chain = Generator[bytes, None, None]
"""The bytes of the result at each check."""


def torch_state(seed: int) -> tuple[Any, Any, Any]:
    """PyTorch, and two matrices that are the same in each run."""
    import torch

    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(seed)
    one, other = (torch.randn(SIZE, SIZE, generator=generator) for _ in range(2))
    return torch, (one / SIZE**0.5).cuda(), other.cuda()


def of_torch() -> Chain:
    """Forty products, then a look at the result: a trainer."""
    torch, weights, x = torch_state(1)
    while True:
        for _ in range(40):
            x = torch.tanh(x @ weights) + 0.1
        yield x.cpu().numpy().tobytes()


def of_graph() -> Chain:
    """The same as a CUDA graph that is replayed."""
    torch, weights, x = torch_state(2)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            torch.tanh(x @ weights)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x
        for _ in range(20):
            y = torch.tanh(y @ weights) + 0.1
        x.copy_(y)
    while True:
        graph.replay()
        graph.replay()
        torch.cuda.synchronize()
        yield x.cpu().numpy().tobytes()


def of_ahead() -> Chain:
    """A thousand launches are queued before the first is waited for."""
    torch, weights, x = torch_state(3)
    while True:
        for _ in range(500):
            x = torch.tanh(x @ weights)
        yield x.cpu().numpy().tobytes()


def of_threads() -> Chain:
    """Eight threads launch, each on a stream of its own."""
    torch, weights, x = torch_state(4)
    states = [x + number for number in range(8)]
    begin, end = threading.Barrier(9), threading.Barrier(9)

    def work(number: int) -> None:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            while True:
                begin.wait()
                for _ in range(10):
                    states[number] = torch.tanh(states[number] @ weights) + 0.1
                stream.synchronize()
                end.wait()

    torch.cuda.synchronize()
    for number in range(8):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    while True:
        begin.wait()
        end.wait()
        yield b"".join(state.cpu().numpy().tobytes() for state in states)


def of_server() -> Chain:
    """An asyncio server: it computes for whoever connects, and waits in epoll in between."""
    torch, weights, x = torch_state(5)

    async def answer(reader: Any, writer: Any) -> None:
        nonlocal x
        while await reader.readline():
            for _ in range(5):
                x = torch.tanh(x @ weights) + 0.1
            writer.write(hashlib.sha256(x.cpu().numpy().tobytes()).hexdigest().encode() + b"\n")
            await writer.drain()

    ready: list[int] = []

    def serve() -> None:
        async def main() -> None:
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            ready.append(server.sockets[0].getsockname()[1])
            await server.serve_forever()

        asyncio.run(main())

    threading.Thread(target=serve, daemon=True).start()
    while not ready:
        time.sleep(0.01)
    code = (
        "import socket, sys, time\n"
        f"link = socket.create_connection(('127.0.0.1', {ready[0]})); lines = link.makefile('rb')\n"
        "while True:\n"
        "    link.sendall(b'go\\n'); sys.stdout.buffer.write(lines.readline())\n"
        "    sys.stdout.flush(); time.sleep(0.02)\n"
    )
    asker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert asker.stdout
    try:
        yield from asker.stdout
    finally:
        asker.kill()


def of_jax() -> Chain:
    """JAX, compiled."""
    import jax
    import jax.numpy as jnp

    weights = jax.random.normal(jax.random.PRNGKey(6), (SIZE, SIZE)) / SIZE**0.5
    x = jax.random.normal(jax.random.PRNGKey(7), (SIZE, SIZE))

    def forty(x: Any) -> Any:
        for _ in range(40):
            x = jnp.tanh(x @ weights) + 0.1
        return x

    import numpy

    step = jax.jit(forty)

    while True:
        x = step(x)
        yield numpy.asarray(x).tobytes()


def of_cupy() -> Chain:
    """CuPy."""
    import cupy

    random = cupy.random.RandomState(8)
    weights = random.standard_normal((SIZE, SIZE)).astype(cupy.float32) / cupy.float32(SIZE**0.5)
    x = random.standard_normal((SIZE, SIZE)).astype(cupy.float32)
    while True:
        for _ in range(40):
            x = cupy.tanh(x @ weights) + cupy.float32(0.1)
        yield cupy.asnumpy(x).tobytes()


def of_family() -> Chain:
    """A client of four processes: the parent collects what its children computed."""
    command = [sys.executable, __file__, "child"]
    children = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(FAMILY)
    ]
    try:
        while True:
            for child in children:
                assert child.stdin
                child.stdin.write(b"\n")
                child.stdin.flush()
            lines = []
            for child in children:
                assert child.stdout
                if not (line := child.stdout.readline()):
                    raise SystemExit("a child of the family was lost")
                lines.append(line)
            yield b"".join(lines)
    finally:
        for child in children:
            child.kill()


def child(number: int) -> None:
    """One of the family."""
    torch, weights, x = torch_state(10 + number)
    for _ in sys.stdin:
        for _ in range(10):
            x = torch.tanh(x @ weights) + 0.1
        print(hashlib.sha256(x.cpu().numpy().tobytes()).hexdigest(), flush=True)


KINDS: dict[str, Callable[[], Chain]] = {
    "torch": of_torch,
    "jax": of_jax,
    "cupy": of_cupy,
    "graph": of_graph,
    "ahead": of_ahead,
    "threads": of_threads,
    "server": of_server,
    "family": of_family,
}


def main() -> None:
    """The command line."""
    if sys.argv[1] == "child":
        child(int(sys.argv[2]))
        return
    kind, out, stop = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    checks = int(sys.argv[4]) if len(sys.argv) > 4 else 10**9
    digest = hashlib.sha256()
    chain = KINDS[kind]()
    with out.open("w", buffering=1) as lines:
        for number, result in enumerate(chain, 1):
            digest.update(result)
            line = {"at": time.monotonic(), "check": number, "digest": digest.hexdigest()[:16]}
            lines.write(json.dumps(line) + "\n")
            if number >= checks or stop.exists():
                break
        lines.write(json.dumps({"at": time.monotonic(), "end": True}) + "\n")
    chain.close()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
