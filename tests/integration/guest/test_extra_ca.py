"""An extra CA: Chromium and the tools in a machine trust what it signs, and only with it."""

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from polydev.guest.protocol import EventKind, LoginPlan, ManifestEntry
from tests.integration.guest.machine import READY_S, Boot

pytestmark = pytest.mark.slow

SERVER = """#!/usr/bin/python3
import http.server, os, ssl, subprocess, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
open("/tmp/pair.pem", "w").write(os.environ["ACME_PAIR"])
context.load_cert_chain("/tmp/pair.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
subprocess.run([os.environ["BROWSER"], "https://localhost:8443/"])
sys.stdout.write("asked\\n")
sys.stdin.read()
"""


def _pem(*things: x509.Certificate | ec.EllipticCurvePrivateKey) -> str:
    text = b""
    for thing in things:
        if isinstance(thing, x509.Certificate):
            text += thing.public_bytes(serialization.Encoding.PEM)
        else:
            text += thing.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
    return text.decode()


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


@pytest.fixture(scope="module")
def ca() -> tuple[str, str]:
    """(the CA, two certificates of which the second counts; a server's pair signed by it)."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    other = _certificate("Another Test CA", keys[0], None, keys[0])
    root = _certificate("Test CA", keys[1], None, keys[1])
    leaf = _certificate("localhost", keys[2], root.subject, keys[1])
    return _pem(other, root), _pem(leaf, keys[2])


def _plan(pair: str) -> LoginPlan:
    return LoginPlan(
        "acme", ("acme",), {"ACME_PAIR": pair}, (), (), ("localhost",), (ManifestEntry("never"),)
    )


async def test_chromium_trusts_the_extra_ca(boot: Boot, ca: tuple[str, str]) -> None:
    extra, pair = ca
    machine = await boot("browser", tools={"acme": SERVER}, extra_ca=extra)
    await machine.client.wait_ready(READY_S)

    await machine.client.start_login(_plan(pair))

    event = await machine.event(EventKind.PAGE_SHOWN)
    assert event.data == {"host": "localhost:8443"}
    code, said = await machine.sh("env -u SSL_CERT_FILE true; printenv NODE_EXTRA_CA_CERTS")
    assert (code, said) == (0, "/run/polydev/ca/extra.pem\n")


async def test_without_it_the_page_is_refused(boot: Boot, ca: tuple[str, str]) -> None:
    machine = await boot("browser", tools={"acme": SERVER})
    await machine.client.wait_ready(READY_S)

    await machine.client.start_login(_plan(ca[1]))

    await machine.event(EventKind.URL_OPENED)
    await machine.console.until(
        "login: the page of localhost does not load: net::ERR_CERT_AUTHORITY_INVALID"
    )
