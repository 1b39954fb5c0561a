"""Attacks on a gate through real sockets: each is refused in time, nothing comes through, and the gate goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from farm_keys import FarmKeys, make_farm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotune.transport.authority import Issue, read_authority
from autotune.transport.gate import Behind, Gate
from autotune.transport.handshake import Refusal
from autotune.transport.identity import REVOKED, SECRETS, Role, Subject, read_identity
from autotune.transport.revocation import revoke, spread
from autotune.transport.route import Destination, Route, open_stream
from autotune.transport.tls import SecureStream
from autotune.workers.child import resident_bytes
from search_spaces.errors import Misuse

PROOF_SECS = 1.5
# Within so many seconds an attacker is cut off, on a busy machine as well.
CUT_OFF_SECS = 10.0
PI4 = Subject(Role.BOARD, "pi4")
MIB = 1 << 20
# No TLS, the start of a record, and of a message in one.
RECORD_STARTS = (b"", b"\x16\x03\x01", b"\x16\x03\x03\x00\x80\x01")


@dataclass
class Besieged:
    """A gate, and what came through it to the server behind, which answers every byte."""

    port: int
    through: bytearray = field(default_factory=bytearray)
    refused: list[str] = field(default_factory=list)

    def connect(self) -> socket.socket:
        stream = socket.create_connection(("127.0.0.1", self.port), CUT_OFF_SECS)
        stream.settimeout(CUT_OFF_SECS)
        return stream

    def enter(self, identity: Path, expected: Subject = PI4) -> SecureStream:
        opened = open_stream(Route(identity), Destination("127.0.0.1", self.port, expected), CUT_OFF_SECS)
        assert isinstance(opened, SecureStream)
        return opened

    def expect_cut_off(self, stream: socket.socket) -> None:
        """Fails unless the gate closes the connection without giving anything of the server's."""
        started = time.monotonic()
        with suppress(ConnectionError, ssl.SSLError):
            while stream.recv(1 << 16):
                assert time.monotonic() - started < CUT_OFF_SECS
        stream.close()

    def expect_reason(self, reason: str) -> None:
        """Fails unless the gate says soon that it refused somebody for such a reason."""
        deadline = time.monotonic() + CUT_OFF_SECS
        while not any(reason in line for line in self.refused):
            assert time.monotonic() < deadline, self.refused[-3:]
            time.sleep(0.01)
        self.refused.clear()

    def expect_service(self, identity: Path) -> None:
        """Fails unless whoever belongs to the farm still gets through; forgets what came through."""
        with self.enter(identity).stream as stream:
            stream.settimeout(CUT_OFF_SECS)
            stream.sendall(b"ping")
            assert stream.recv(4) == b"ping"
        self.through.clear()


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> FarmKeys:
    return make_farm(tmp_path_factory.mktemp("farm"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> FarmKeys:
    return make_farm(tmp_path_factory.mktemp("strangers"))


@contextmanager
def besieged(identity: Path, folder: Path) -> Iterator[Besieged]:
    place = str(folder / "inside")
    inside = socket.socket(socket.AF_UNIX)
    inside.bind(place)
    inside.listen()
    outside = socket.create_server(("127.0.0.1", 0))
    made = Besieged(outside.getsockname()[1])

    def echo(stream: socket.socket) -> None:
        with stream, suppress(OSError):
            while data := stream.recv(1 << 16):
                made.through.extend(data)
                stream.sendall(data)

    def answer() -> None:
        with suppress(OSError):
            while True:
                stream, _ = inside.accept()
                threading.Thread(target=echo, args=(stream,), daemon=True).start()

    def enter() -> socket.socket:
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(place)
        return stream

    behind = Behind(enter, (Role.CLIENT,), tells_session=False)
    gate = Gate(outside, read_identity(identity), behind, made.refused.append, PROOF_SECS)
    for work in (answer, gate.serve_for_ever):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield made
    finally:
        for listener in (outside, inside):
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


@pytest.fixture(scope="module")
def gate(farm: FarmKeys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with besieged(farm.pi4, tmp_path_factory.mktemp("gate")) as made:
        yield made


@pytest.fixture(autouse=True)
def unharmed(gate: Besieged, farm: FarmKeys) -> Iterator[None]:
    """After each attack: nothing came through, and others are served."""
    yield
    assert not gate.through
    gate.expect_service(farm.me)


def _context(trusts: Path | None, shows: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if trusts:
        context.load_verify_locations(trusts / "ca.pem")
    if shows:
        context.load_cert_chain(shows / "certificate.pem", shows / "key.pem")
    return context


def _attack(gate: Besieged, context: ssl.SSLContext) -> None:
    with suppress(ssl.SSLError, ConnectionError):
        stream = context.wrap_socket(gate.connect())
        stream.sendall(b"\x71\xf2\x0f\x00")
        gate.expect_cut_off(stream)


def test_without_a_certificate_nobody_comes_in(gate: Besieged, farm: FarmKeys) -> None:
    _attack(gate, _context(farm.me, None))
    gate.expect_reason("peer did not return a certificate")


def test_a_certificate_of_another_authority_is_refused(gate: Besieged, strangers: FarmKeys) -> None:
    _attack(gate, _context(strangers.me, strangers.me))
    gate.expect_reason("certificate verify failed")
    with pytest.raises(Refusal, match="certificate that is not accepted"):
        gate.enter(strangers.me)


def test_an_expired_certificate_is_refused(gate: Besieged, farm: FarmKeys) -> None:
    _attack(gate, _context(farm.me, farm.late))
    gate.expect_reason("certificate verify failed")
    with pytest.raises(Misuse, match="found one that expired on") as caught:
        gate.enter(farm.late)
    assert caught.value.code == "AT762"


def test_a_revoked_certificate_is_refused_from_the_next_handshake_on(
    gate: Besieged, farm: FarmKeys, tmp_path: Path
) -> None:
    authority = read_authority(farm.authority)
    issue = Issue(Subject(Role.CLIENT, "leaver"), farm.folder / "leaver", timedelta(days=1))
    authority.issue(issue)
    gate.expect_service(farm.leaver)
    revoke(authority, "leaver")
    spread(authority.folder)
    _attack(gate, _context(farm.me, farm.leaver))
    gate.expect_reason("certificate verify failed")
    with pytest.raises(Refusal, match="alert certificate revoked"):
        gate.enter(farm.leaver)
    gate.expect_service(farm.me)
    # A list of another farm, or garbage, lets nobody in, rather than everybody.
    good = (farm.pi4 / REVOKED).read_bytes()
    for bad in (b"garbage", good.replace(b"A", b"B")):
        (farm.pi4 / REVOKED).write_bytes(bad)
        _attack(gate, _context(farm.me, farm.leaver))
        gate.expect_reason("certificate")
    (farm.pi4 / REVOKED).write_bytes(good)


def test_a_revoked_board_is_not_connected_to(farm: FarmKeys, tmp_path: Path) -> None:
    authority = read_authority(farm.authority)
    authority.issue(Issue(PI4, farm.folder / "stolen", timedelta(days=1)))
    with besieged(farm.stolen, tmp_path) as made:
        made.expect_service(farm.me)
        made.through.clear()
        revoke(authority, "stolen")
        spread(authority.folder)
        with pytest.raises(Refusal, match="certificate revoked"):
            made.enter(farm.me)


def test_a_board_is_no_client(gate: Besieged, farm: FarmKeys) -> None:
    with pytest.raises(Refusal, match="a board's certificate does not let in here"):
        gate.enter(farm.pi5)


def test_tls_1_2_is_refused(gate: Besieged, farm: FarmKeys) -> None:
    context = _context(farm.me, farm.me)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        context.wrap_socket(gate.connect())


@pytest.mark.parametrize(
    "greeting", [b"\x71\xf2\x0f\x00\x08\x00\x00\x00client:x", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 65536]
)
def test_plain_tcp_gets_nothing(gate: Besieged, greeting: bytes) -> None:
    stream = gate.connect()
    with suppress(ConnectionError):
        stream.sendall(greeting)
    gate.expect_cut_off(stream)


def test_a_recorded_session_that_is_replayed_is_refused(gate: Besieged, farm: FarmKeys) -> None:
    recorded: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def record() -> None:
            client, _ = listener.accept()
            server = gate.connect()

            def back() -> None:
                with suppress(OSError):
                    while data := server.recv(1 << 16):
                        client.sendall(data)

            threading.Thread(target=back, daemon=True).start()
            with suppress(OSError):
                while data := client.recv(1 << 16):
                    recorded.append(data)
                    server.sendall(data)
            server.close()

        recorder = threading.Thread(target=record, daemon=True)
        recorder.start()
        Besieged(listener.getsockname()[1]).expect_service(farm.me)
        recorder.join(CUT_OFF_SECS)
    gate.through.clear()
    assert sum(map(len, recorded)) > 1000
    stream = gate.connect()
    with suppress(ConnectionError):
        for data in recorded:
            stream.sendall(data)
    gate.expect_cut_off(stream)


def _with_farm_token(farm: FarmKeys, folder: Path, token: str) -> Path:
    """A copy of the client's identity with another token."""
    shutil.copytree(farm.me, folder)
    path = folder / SECRETS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"farm": token}))
    return folder


def test_a_wrong_token_is_refused(gate: Besieged, farm: FarmKeys, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="the token is another one"):
        gate.enter(_with_farm_token(farm, tmp_path / "me", "00" * 32))


def test_the_token_of_another_board_is_refused(
    gate: Besieged, farm: FarmKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = read_identity(farm.pi5).tokens.own
    with monkeypatch.context() as patched:
        patched.setattr("autotune.transport.identity.board_token", lambda _farm, _fingerprint: other)
        with pytest.raises(Refusal, match="the token is another one"):
            gate.enter(farm.me)


def test_the_board_of_another_key_is_not_taken_for_it(farm: FarmKeys, tmp_path: Path) -> None:
    with (
        besieged(farm.pi5, tmp_path) as other,
        pytest.raises(Refusal, match=r"'pi4', found one .*autotune:board:pi5"),
    ):
        other.enter(farm.me)


def test_a_board_without_its_token_is_not_believed(farm: FarmKeys, tmp_path: Path) -> None:
    shutil.copytree(farm.pi4, tmp_path / "pi4")
    path = tmp_path / "pi4" / SECRETS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"own": "11" * 32}))
    with besieged(tmp_path / "pi4", tmp_path) as other, pytest.raises(Refusal):
        other.enter(farm.me)


def test_a_client_that_plays_board_is_refused(farm: FarmKeys, tmp_path: Path) -> None:
    with (
        besieged(farm.me, tmp_path) as other,
        pytest.raises(Refusal, match="not accepted: unsuitable certificate"),
    ):
        other.enter(farm.me)


@pytest.mark.alone
def test_slow_strangers_are_cut_off_and_do_not_keep_others_out(gate: Besieged, farm: FarmKeys) -> None:
    before = resident_bytes(os.getpid())
    slow = [gate.connect() for _ in range(40)]
    started = time.monotonic()
    for stream in slow[:20]:
        stream.sendall(b"\x16\x03\x01\x02\x00")
    gate.expect_service(farm.me)
    for _ in range(20):
        for stream in slow:
            with suppress(ConnectionError):
                stream.sendall(b"\x01")
        time.sleep(0.1)
    for stream in slow:
        gate.expect_cut_off(stream)
    assert time.monotonic() - started < 2 * CUT_OFF_SECS
    assert resident_bytes(os.getpid()) - before < 64 * MIB


def _inside_tls(gate: Besieged, farm: FarmKeys, message: bytes) -> None:
    """Sends bytes with a good certificate, where the proof of the token belongs."""
    stream = _context(farm.me, farm.me).wrap_socket(gate.connect())
    with suppress(ConnectionError, ssl.SSLError):
        stream.sendall(message)
    gate.expect_cut_off(stream)


@pytest.mark.parametrize("size", [1025, 1 << 20, 0xFFFFFFFF])
def test_oversize_messages_are_refused(gate: Besieged, farm: FarmKeys, size: int) -> None:
    before = resident_bytes(os.getpid())
    _inside_tls(gate, farm, struct.pack(">I", size) + b"{" * min(size, MIB))
    gate.expect_reason(f"expected a message of at most 1024 bytes, found {size}")
    assert resident_bytes(os.getpid()) - before < 32 * MIB


_SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda one: st.lists(one, max_size=3),
    max_leaves=4,
)
_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(1) | _VALUES,
        "nonce": st.binary(min_size=32, max_size=32).map(bytes.hex) | _VALUES,
        "proof": st.binary(min_size=32, max_size=32).map(bytes.hex) | _VALUES,
        "refused": _VALUES,
    },
)


def _frame(message: Any) -> bytes:
    data = json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


@_SETTINGS
@given(
    garbage=st.binary(min_size=1, max_size=300),
    starts=st.sampled_from(RECORD_STARTS),
)
def test_garbage_on_the_port_gets_nothing(gate: Besieged, garbage: bytes, starts: bytes) -> None:
    stream = gate.connect()
    with suppress(OSError):
        stream.sendall(starts + garbage)
        stream.shutdown(socket.SHUT_WR)
    gate.expect_cut_off(stream)


@_SETTINGS
@given(message=_MESSAGES.map(_frame) | _VALUES.map(_frame) | st.binary(min_size=5, max_size=200))
def test_garbage_in_place_of_a_proof_gets_nothing(gate: Besieged, farm: FarmKeys, message: bytes) -> None:
    # An end that says so is not waited for.
    _inside_tls(gate, farm, message + struct.pack(">I", 0))
