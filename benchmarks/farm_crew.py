"""Boards and builders that only pretend, behind real sockets on loopback: the crew of benchmarks/farm.py.

One program serves many boards, each at a connection of its own; a kernel is a sleep. A board may be told to fail.
"""

from __future__ import annotations

import asyncio
import pickle
import random
import selectors
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotune.builders.artifact import Compiled
from autotune.cluster.crew import Answer, Lost, Member
from autotune.cluster.environment import Environment
from autotune.cluster.parcel import CompileReport, CompileRequest, MeasureReport
from autotune.runners.runner import Outcome
from tuning_logs import Check, Failure, FailureKind, Timing

ENVIRONMENT = Environment("3.11", "0.2.0", "0.27.0", "0.1.14", "1.3")
FAULTS = ("kill", "hang", "slow", "wrong", "instant", "garbage", "duplicate", "other device", "short")
_LENGTH = struct.Struct("!I")
_REFERENCE_SECS = 1e-4


@dataclass(frozen=True)
class Setting:
    """One connection of the program. secs: of a trial or a compilation; fault_rate: of its orders."""

    name: str
    fingerprint: str
    secs: float
    fault_rate: float = 0.0
    seed: int = 0


# --- the program ---------------------------------------------------------------------------------


async def _serve(port: int, settings: list[Setting]) -> None:
    boards = {one.name: _Board(one) for one in settings}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            name = await _read(reader)
            await boards[name].work(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


class _Board:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.random = random.Random(f"{setting.seed} {setting.name}")

    async def work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: set[str] = set()
        first = True
        while True:
            ticket, order = await _read(reader)
            fault = (
                None
                if first or self.random.random() >= self.setting.fault_rate
                else self.random.choice(FAULTS)
            )
            first = False
            if isinstance(order, CompileRequest):
                await asyncio.sleep(self.setting.secs)
                _write(writer, (ticket, None, CompileReport(Compiled(), b"library", self.setting.secs)))
                continue
            if fault == "hang":
                await asyncio.sleep(3600)
            speed = 3.0 if fault == "slow" else 1.0
            if order.reference is not None or order.parcels[0].artifact.is_reference:
                held.update(one.artifact.task.key for one in order.parcels)
            await asyncio.sleep(
                speed * self.setting.secs * (len(order.parcels) + (order.reference is not None))
            )
            if fault == "kill":
                return
            report = _report(self.setting, order, fault, speed)
            if order.parcels[0].artifact.task.key not in held:
                report = MeasureReport((), self.setting.fingerprint, _REFERENCE_SECS, "no reference")
            for _ in range(2 if fault == "duplicate" else 1):
                _write(writer, (ticket, fault, report))


def _report(setting: Setting, order: Any, fault: str | None, speed: float) -> Any:
    if fault == "garbage":
        return "garbage"
    secs = 0.0 if fault == "instant" else 0.9 * setting.secs * speed
    outcome = Outcome(Timing((secs,), 0.1), Check(0.0, 0.0))
    if fault == "wrong":
        outcome = Outcome(Failure(FailureKind.WRONG_RESULT, "numbers", 0.1), None)
    count = len(order.parcels) - (fault == "short")
    key = "another" if fault == "other device" else setting.fingerprint
    return MeasureReport((outcome,) * count, key, _REFERENCE_SECS * speed)


async def _read(reader: asyncio.StreamReader) -> Any:
    [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def _write(writer: asyncio.StreamWriter, value: Any) -> None:
    writer.write(_packed(value))


def _packed(value: Any) -> bytes:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


# --- the coordinator's side ------------------------------------------------------------------------


@dataclass
class _Link:
    setting: Setting
    incarnation: int = 0
    connection: socket.socket | None = None
    buffer: bytearray = field(default_factory=bytearray)
    tickets: set[int] = field(default_factory=set)


class SocketCrew:
    """See `autotune.cluster.crew.Crew`. port: where the program listens; met: faults by kind, as the boards tell."""

    def __init__(self, port: int, settings: list[Setting], slots: int = 1) -> None:
        self._port, self._slots = port, slots
        self._selector = selectors.DefaultSelector()
        self._links = {one.name: _Link(one) for one in settings}
        self.met: dict[str, int] = {}
        self._members: list[Member] = []
        self._lost: list[Answer] = []
        for link in self._links.values():
            self._connect(link)

    def members(self) -> list[Member]:
        """See `Crew.members`."""
        return self._members

    def send(self, member: str, ticket: int, order: Any) -> None:
        """See `Crew.send`."""
        link = self._links[member]
        assert link.connection is not None
        link.tickets.add(ticket)
        try:
            link.connection.sendall(_packed((ticket, order)))
        except OSError as error:
            self._lose(link, str(error))

    def receive(self, wait_secs: float) -> list[Answer]:
        """See `Crew.receive`."""
        answers, self._lost = self._lost, []
        for key, _ in self._selector.select(0 if answers else wait_secs):
            answers += self._read(key.data)
        answers += self._lost
        self._lost = []
        return answers

    def dismiss(self, member: str) -> None:
        """See `Crew.dismiss`."""
        link = self._links[member]
        link.tickets.clear()
        self.met["hang"] = self.met.get("hang", 0) + 1
        self._close(link)
        self._connect(link)

    def close(self) -> None:
        """Closes all connections."""
        for link in self._links.values():
            self._close(link)
        self._selector.close()

    def _read(self, link: _Link) -> list[Answer]:
        assert link.connection is not None
        data = link.connection.recv(1 << 20)
        if not data:
            self.met["kill"] = self.met.get("kill", 0) + 1
            self._lose(link, "the connection was closed")
            return []
        link.buffer += data
        found = []
        while len(link.buffer) >= _LENGTH.size:
            [length] = _LENGTH.unpack_from(link.buffer)
            if len(link.buffer) < _LENGTH.size + length:
                break
            ticket, fault, value = pickle.loads(link.buffer[_LENGTH.size : _LENGTH.size + length])
            del link.buffer[: _LENGTH.size + length]
            if fault and ticket in link.tickets:
                self.met[fault] = self.met.get(fault, 0) + 1
            link.tickets.discard(ticket)
            found.append(Answer(link.setting.name, ticket, value))
        return found

    def _lose(self, link: _Link, reason: str) -> None:
        self._lost += [Answer(link.setting.name, ticket, Lost(reason)) for ticket in link.tickets]
        link.tickets.clear()
        self._close(link)
        self._connect(link)

    def _connect(self, link: _Link) -> None:
        link.connection = socket.create_connection(("127.0.0.1", self._port))
        link.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.connection.sendall(_packed(link.setting.name))
        link.buffer.clear()
        link.incarnation += 1
        self._selector.register(link.connection, selectors.EVENT_READ, link)
        self._members = [
            Member(one.setting.name, one.incarnation, self._slots, ENVIRONMENT, one.setting.fingerprint)
            for one in self._links.values()
        ]

    def _close(self, link: _Link) -> None:
        if link.connection is not None:
            self._selector.unregister(link.connection)
            link.connection.close()
            link.connection = None


def start_program(settings: list[Setting]) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the program for these boards; returns it and its port."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(pickle.dumps([tuple(vars(one).values()) for one in settings]))
    process.stdin.close()
    return process, int(process.stdout.readline())


if __name__ == "__main__":
    asyncio.run(_serve(0, [Setting(*one) for one in pickle.loads(sys.stdin.buffer.read())]))
