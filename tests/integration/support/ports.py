"""Ports of servers that keep theirs when they are stopped and started again.

A port that the kernel gives ("any free one") may be given to somebody else before the server has
taken it, and while it is stopped: to the tests that run beside these, or as the near end of some
connection. These are of a range the kernel gives none of, and each is held by an abstract Unix
socket of its number: only one process of a machine (of a network namespace, as with the ports
themselves) can bind that, and it is free again when the process is over, however it ended.
"""

import random
import socket

#: below the ports the kernel gives (net.ipv4.ip_local_port_range); kafka-local and the demo take
#: theirs between 20000 and 32000
PORTS = range(12000, 20000)


class Port:
    """number; release() when its server is over."""

    def __init__(self):
        for number in random.SystemRandom().sample(PORTS, len(PORTS)):
            self.held = socket.socket(socket.AF_UNIX)
            try:
                self.held.bind(f"\0flightpath-test-port-{number}")
                with socket.socket() as sock:  # a stranger's server
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind(("127.0.0.1", number))
            except OSError:
                self.held.close()
                continue
            self.number = number
            return
        raise AssertionError(f"no free port in {PORTS}")

    def release(self):
        self.held.close()
