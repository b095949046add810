"""Who may read what."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from rota.clients.picture import Picture
from rota.errors import UsageError
from rota.web.access import Access, Token
from rota.web.address import Address, listen, parse_address
from rota.web.server import Tls
from tests.figures.stand_ins import pod
from tests.web.conftest import Site


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        (":9400", Address("", 9400), False),
        ("127.0.0.1:80", Address("127.0.0.1", 80), True),
        ("[::1]:0", Address("::1", 0), True),
        ("localhost:1", Address("localhost", 1), True),
        ("10.0.0.7:9400", Address("10.0.0.7", 9400), False),
        ("0.0.0.0:9400", Address("0.0.0.0", 9400), False),
    ],
)
def test_addresses(text: str, address: Address, loopback: bool) -> None:
    assert parse_address(text) == address
    assert parse_address(text).loopback is loopback


@pytest.mark.parametrize("text", ["", "9400", "localhost", "a:b", "h:70000", ":", ":٣"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9400"):
        parse_address(text)


def test_a_port_that_is_taken_is_named() -> None:
    with listen(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)):
            listen(Address("127.0.0.1", port))


async def test_command_lines_are_served_to_this_machine_only(site: Site) -> None:
    site.node.picture = Picture((pod("a", os.getpid()),))
    site.open(local=True)
    (here,) = (await site.get("/api/v1/state")).json["clients"][0]["processes"]
    site.open(local=False)
    (there,) = (await site.get("/api/v1/state")).json["clients"][0]["processes"]
    assert here["command"]
    assert there["command"] == ""
    assert here["pid"] == there["pid"]


@pytest.mark.parametrize(
    ("host", "served"),
    [("localhost:9400", True), ("127.0.0.1", True), ("[::1]:9400", True), ("evil.example", False),
     ("127.0.0.1.evil.example:80", False)],
)  # fmt: skip
async def test_a_page_from_elsewhere_cannot_pretend_to_be_here(
    site: Site, host: str, served: bool
) -> None:
    site.open(local=True)
    answer = await site.get("/api/v1/state", {"Host": host})
    assert answer.status == (200 if served else 421)


async def test_figures_need_the_token_and_probes_do_not(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("let me in\n")
    site.open(local=False, token=Token(file))
    for path in ("/healthz", "/readyz", "/"):
        assert (await site.get(path)).status == 200
    for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "let me in"}):
        refused = await site.get("/metrics", headers)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (await site.get("/metrics", {"Authorization": "Bearer let me in"})).status == 200


def test_a_token_may_be_replaced_and_one_that_is_gone_bars_everybody(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    token = Token(file)
    assert token.matches("Bearer old")
    file.write_text("newer")
    assert token.matches("bearer newer")
    assert not token.matches("Bearer old")
    file.unlink()
    assert not token.matches("Bearer newer")


def test_an_empty_token_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(UsageError, match="cannot read"):
        Token(file).check()
    file.write_text(" \n")
    with pytest.raises(UsageError, match="empty"):
        Token(file).check()
    assert not Token(file).matches("Bearer ")


def test_a_local_listener_with_a_token_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t")
    assert Access(local=True, token=Token(file)).refusal("/metrics", "node-7", "Bearer t") is None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_figures_over_https(site: Site, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    tls = Tls(certificate, key)
    tls.check()
    site.open(tls=tls)
    context = ssl.create_default_context(cafile=str(certificate))
    answer = await site.get("/healthz", context=context)
    assert answer.text == "ok\n"
    with pytest.raises(UsageError, match="no certificate"):
        Tls(key, certificate).check()
