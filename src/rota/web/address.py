"""Where to listen: `HOST:PORT`, and whether only this machine can reach it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from rota.errors import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address; an empty host is every address."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Only programs of this machine can connect to it."""
        return self.host == "localhost" or is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """It is an address (and no name) of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> Address:
    """`127.0.0.1:9400`, `:9400` (every address) or `[::1]:9400`.

    Raises:
        UsageError: it is none of them.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise UsageError(
            f"'{text}' is no address to listen on",
            where="--listen",
            hint="HOST:PORT, such as 127.0.0.1:9400, or :9400 for every address",
        )
    return Address(host.strip("[]"), int(port))


def listen(address: Address) -> socket.socket:
    """A socket that listens there; every address means IPv4 and IPv6 where the machine has both.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        if not address.host:
            return _everywhere(address.port)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=64)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot listen on {address}: {why}", where="--listen") from None


def _everywhere(port: int) -> socket.socket:
    if not socket.has_dualstack_ipv6():
        return socket.create_server(("", port), backlog=64)
    try:
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
        )
    except OSError:  # IPv6 is built in and switched off
        return socket.create_server(("", port), backlog=64)
