"""A network of its own, of one host: clients with any address, and no port is taken."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..packages import install

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class Namespace:
    """A network namespace with a loopback interface, which also has `addresses`. Needs root."""

    def __init__(self, addresses: Sequence[str]) -> None:
        install("iproute2", "util-linux")
        # It lives as long as this process, which says when it is there and waits for its stdin.
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n", "unshare --net has failed"
        self.pid = self._holder.pid
        self.path = Path(f"/proc/{self.pid}/ns/net")
        commands = ["link set lo up"]
        commands += [f"addr add {a} dev lo" + (" nodad" if ":" in a else "") for a in addresses]
        self._ip(*commands)

    def close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(10)

    def join(self, address: str, other: Namespace, other_address: str) -> None:
        """A cable to another host: this one has `address` at its end, and the other its own."""
        here, there = (f"to-{to.rpartition('.')[2]}" for to in (other_address, address))
        self._ip(f"link add {here} type veth peer name {there} netns {other.pid}")
        for host, mine, device, others in (
            (self, address, here, other_address),
            (other, other_address, there, address),
        ):
            host._ip(
                f"addr add {mine}/32 dev {device}",
                f"link set {device} up",
                f"route add {others}/32 dev {device} src {mine}",
            )

    def _ip(self, *commands: str) -> None:
        subprocess.run(
            [*self.command(), "ip", "-batch", "-"],
            input="\n".join(commands),
            text=True,
            check=True,
        )

    def command(self) -> list[str]:
        """What to write before a command that is to run inside."""
        return ["nsenter", f"--net={self.path}"]

    def inside(self, make: Callable[[], T]) -> T:
        """The result of `make`, called inside; the sockets it opens stay there."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            # The namespace belongs to the thread, so that the others stay where they are.
            descriptor = os.open(self.path, os.O_RDONLY)
            with contextlib.closing(os.fdopen(descriptor)):
                if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
                    errors.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                results.append(make())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]
