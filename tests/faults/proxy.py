# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy in front of PostgreSQL that breaks connections where it hurts most: around COMMIT.

    with Proxy(postgres_port) as proxy:
        daemon(postgres=f"host=127.0.0.1 port={proxy.port} …")
        proxy.arm(Fault("request", 15))  # of the next COMMIT only 15 bytes get through
        proxy.arm(Fault("reply", 0))     # the server commits, and the client does not hear of it
        proxy.struck                     # the faults that have happened

It follows the protocol (version 3, without TLS) as it passes by. The *request* is the message that
says COMMIT up to the Sync behind it; the *reply* is the server's "COMMIT" and the "ready" behind
it. A fault waits for a COMMIT that succeeds or would, on any connection of one application (by
default that of the flushes), and happens once.
"""
import collections
import contextlib
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

COMMITTED_BYTES = 12 # CommandComplete "COMMIT"
REPLY_BYTES = 18     # with the ReadyForQuery behind it
REQUEST_BYTES = 57   # Parse, Bind, Describe, Execute, Sync as libpq sends them


@dataclass(frozen=True)
class Fault:
    """direction  "request": so many bytes of it reach the server, and none after them
                  "reply": so many bytes of it reach the client; -1: not even what comes before it
    how           "cut": both sides are closed; the server still reads what was forwarded
                  "reset": the same, but the client gets a reset
                  "hole": nothing moves any more; the client is not closed, and in the middle of a
                  transaction the server does not even learn that the client has given up
                  "late": everything arrives, after `hold` seconds
    """
    direction: str
    after: int = 0
    how: str = "cut"
    hold: float = 0.0


class Messages:
    """Splits one direction of a connection into messages."""

    PROTOCOL_3 = 196608

    def __init__(self, from_client):
        self.buffer = b""
        self.starting = from_client  # a client's first messages have no type

    def feed(self, data):
        """Whole messages as (type, bytes)."""
        self.buffer += data
        while True:
            head = 0 if self.starting else 1
            if len(self.buffer) < head + 4:
                return
            size = head + struct.unpack_from("!I", self.buffer, head)[0]
            if len(self.buffer) < size:
                return
            message, self.buffer = self.buffer[:size], self.buffer[size:]
            if self.starting:
                self.starting = struct.unpack_from("!I", message, 4)[0] != self.PROTOCOL_3
                yield "", message
            else:
                yield chr(message[0]), message


def says_commit(kind, message):
    if kind == "Q":
        return message[5:-1].strip().rstrip(b";").upper() == b"COMMIT"
    return kind == "P" and message[5:].split(b"\0")[1].strip().upper() == b"COMMIT"


class Struck(Exception):
    """The connection has had its fault."""


class Link(threading.Thread):
    """One connection, both directions."""

    def __init__(self, proxy, client):
        super().__init__(daemon=True)
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(proxy.upstream)
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.from_client, self.from_server = Messages(True), Messages(False)
        self.request = []   # of a COMMIT, until its Sync
        self.may_strike = False
        self.fault = None   # that waits for this connection's reply
        self.reply = []
        self.silent = False
        self.keep_server = False

    def _take_middle(self):
        with self.proxy.lock:
            if (self.may_strike and self.proxy.armed
                    and self.proxy.armed[0].direction == "middle"):
                self.fault = self.proxy.armed.popleft()
                self._strike()

    def run(self):
        with contextlib.suppress(OSError, Struck):
            self._refuse_tls()
            while True:
                for sock in select.select([self.client, self.server], [], [])[0]:
                    data = sock.recv(65536)
                    if not data:
                        if self.silent and sock is self.client:
                            self._wait_for_server()
                        raise Struck
                    if self.silent or self.proxy.black_hole.is_set():
                        self.silent = True
                    elif sock is self.client:
                        self._to_server(data)
                    else:
                        self._to_client(data)
        for sock in (self.client, self.server):
            sock.close()

    def _wait_for_server(self):
        """In a black hole the server does not learn that the client has given up."""
        while self.keep_server and self.server.recv(65536):
            pass

    def _refuse_tls(self):
        head = self.client.recv(8, socket.MSG_PEEK | socket.MSG_WAITALL)
        if head == struct.pack("!II", 8, 80877103):
            self.client.recv(8)
            self.client.sendall(b"N")

    def _to_server(self, data):
        for kind, message in self.from_client.feed(data):
            if kind == "":
                name = b"\0application_name\0" + self.proxy.application.encode() + b"\0"
                self.may_strike = name in message
            if not self.request and not (self.may_strike and says_commit(kind, message)):
                self.server.sendall(message)
                continue
            self.request.append(message)
            if kind in ("S", "Q"):
                request, self.request = b"".join(self.request), []
                self._commit(request)

    def _commit(self, request):
        self.proxy.commits += 1
        self.fault = self.proxy.take()
        if self.fault is None or self.fault.direction == "reply":
            self.server.sendall(request)
            return
        if self.fault.how == "late":
            time.sleep(self.fault.hold)
            self.server.sendall(request)
        else:
            self.server.sendall(request[:self.fault.after])
        self._strike()

    def _to_client(self, data):
        for kind, message in self.from_server.feed(data):
            if self.fault is None:
                self.client.sendall(message)
                if kind == "Z" and message[5:] == b"T":
                    self._take_middle()
                continue
            self.reply.append(message)
            if kind == "Z":
                reply, self.reply = self.reply, []
                self._reply(reply)

    def _reply(self, reply):
        if not any(message[5:] == b"COMMIT\0" for message in reply[-2:]):
            self.proxy.arm(self.fault, first=True)  # it failed: not the COMMIT to strike
            self.fault = None
            self.client.sendall(b"".join(reply))
            return
        if self.fault.how == "late":
            time.sleep(self.fault.hold)
            self.client.sendall(b"".join(reply))
        elif self.fault.after >= 0:
            self.client.sendall(b"".join(reply[:-2]) + b"".join(reply[-2:])[:self.fault.after])
        self._strike()

    def _strike(self):
        fault, self.fault = self.fault, None
        self.proxy.struck.append(fault)
        if fault.how == "late":
            return
        if fault.how == "hole":
            self.silent = True
            self.keep_server = fault.direction == "middle"
            return
        if fault.how == "reset":
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Struck


class Proxy:
    """Listens on a free port of 127.0.0.1. `black_hole`: set, nothing moves on any connection."""

    def __init__(self, upstream_port, application="flightpath/flush"):
        self.application = application
        self.upstream = ("127.0.0.1", upstream_port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.armed = collections.deque()
        self.struck = []
        self.commits = 0
        self.black_hole = threading.Event()
        self.lock = threading.Lock()
        self.links = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut_all()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with contextlib.suppress(OSError):  # PostgreSQL is away: the client is closed
                    link = Link(self, client)
                    self.links.append(link)
                    link.start()
                    continue
                client.close()

    def cut_all(self):
        for link in self.links:
            for sock in (link.client, link.server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.links.clear()

    def arm(self, fault, first=False):
        with self.lock:
            self.armed.appendleft(fault) if first else self.armed.append(fault)

    def take(self):
        with self.lock:
            if self.armed and self.armed[0].direction != "middle":
                return self.armed.popleft()
            return None
