"""Probes try the way of a line (edge): a test line, a question, a conversation. None of them
changes anything."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import smtplib
import socket
import subprocess
import time
from typing import Any

from ..authorisation.noticed import TEST_PROGRAM
from ..errors import StoreBusy
from ..service import control
from ..setup.discover import COMMAND_SECONDS, PATH, read, run_command
from .findings import FeedProbe
from .login import any_certificate

LOG_SOCKET = "/dev/log"
FEED_SECONDS = 15.0
"""A daemon may wait up to ten seconds before it starts a filter again that had failed."""
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 5.0
TLS_PORT = 465
PORTS = (25, TLS_PORT, 587)
MUST_STARTTLS = 530
KERNEL_LOG = "/var/log/kern.log"


def send(token: str, path: str = LOG_SOCKET) -> None:
    """Write a test line as syslog(3) does, with the time of this process's zone.

    Raises:
        OSError: nobody takes it.
    """
    stamp = time.strftime("%b %e %H:%M:%S")
    line = f"<22>{stamp} {TEST_PROGRAM}[{os.getpid()}]: {token}".encode()
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as log:
            try:
                log.connect(path)
            except OSError as error:
                # A stream, as syslog-ng's unix-stream() has it.
                if kind == socket.SOCK_DGRAM and "wrong type" in str(error).lower():
                    continue
                raise
            log.sendall(line if kind == socket.SOCK_DGRAM else line + b"\n")
            return


def feed(
    control_path: str,
    *,
    daemon: str,
    restart: str,
    path: str = LOG_SOCKET,
    seconds: float = FEED_SECONDS,
) -> FeedProbe:
    """Send a test line, and wait until the filter says that it has seen it."""
    token = secrets.token_hex(16)
    sent = int(time.time())
    began = time.monotonic()
    known: dict[str, Any] = {
        "daemon": daemon,
        "restart": restart,
        "socket": path,
        "sent_epoch": sent,
        "uid": os.geteuid(),
    }
    try:
        send(token, path)
    except OSError as error:
        return FeedProbe(problem=error.strerror or str(error), answered=False, seen=None, **known)
    version = ""
    answered = False
    while True:
        reply = None
        with contextlib.suppress(StoreBusy):
            reply = control.ask(control_path, {"do": "test", "token": token})
        if reply is not None:
            answered, version = True, str(reply.get("version", ""))
        seen = None if reply is None else reply.get("test")
        waited = time.monotonic() - began
        if seen is not None or waited >= seconds:
            return FeedProbe(
                problem="",
                answered=answered,
                seen=seen,
                version=version,
                waited_seconds=waited,
                **known,
            )
        time.sleep(LOOK_SECONDS)


def as_user(argv: list[str], user: str, group: str) -> tuple[int, str]:
    """Run `argv` as `user` of `group` ("": his own), without further groups. Needs root.

    Its exit status and what it said; 126 where it cannot be run.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            env={"PATH": PATH},
            cwd="/",
            user=user,
            group=group or _group_of(user),
            extra_groups=[],
            check=False,
        )
    except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
        return 126, str(error)
    return done.returncode, done.stdout


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def ask(path: str, question: bytes) -> tuple[bytes, str]:
    """Return the answer of the service at the unix socket `path`, or why there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as service:
            service.settimeout(ANSWER_SECONDS)
            service.connect(path)
            service.sendall(question)
            return service.recv(4096), ""
    except OSError as error:
        return b"", error.strerror or str(error)


def own_addresses() -> list[str]:
    """Return the addresses of this machine's interfaces, canonical."""
    found = re.findall(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL", read("/proc/net/fib_trie") or "")
    for line in (read("/proc/net/if_inet6") or "").splitlines():
        found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])))
    return list(dict.fromkeys(found))


def listening() -> list[int]:
    """Return the ports of SMTP at which something listens here, looked up and not tried."""
    rows = (read("/proc/net/tcp") or "") + (read("/proc/net/tcp6") or "")
    return [port for port in PORTS if re.search(rf":{port:04X} [0-9A-F:]+ 0A ", rows)]


def rcpt(source: str, port: int = 25) -> str:
    """Return what the SMTP server at `source`, an address of this machine, says to a client there
    that wants to send elsewhere; "" where there is none. The conversation ends before any mail.

    Port 465 is spoken to by TLS, another one where the server insists; whose certificate it has is
    no matter here, since nothing secret is sent.
    """
    try:
        with _connected(source, port) as client:
            client.ehlo("pbs-filter-doctor.invalid")
            code, text = client.mail("pbs-filter-doctor@example.org")
            if code == MUST_STARTTLS and client.has_extn("starttls"):
                client.starttls(context=any_certificate())
                client.ehlo("pbs-filter-doctor.invalid")
                code, text = client.mail("pbs-filter-doctor@example.org")
            if code < 400:
                code, text = client.rcpt("pbs-filter-doctor@example.com")
                client.rset()
    except (OSError, smtplib.SMTPException):
        return ""
    return f"{code} {text.decode('utf-8', 'replace')}"


def _connected(source: str, port: int) -> smtplib.SMTP:
    if port == TLS_PORT:
        return smtplib.SMTP_SSL(
            source,
            port,
            timeout=COMMAND_SECONDS,
            source_address=(source, 0),
            context=any_certificate(),
        )
    return smtplib.SMTP(source, port, timeout=COMMAND_SECONDS, source_address=(source, 0))


def kernel_log() -> str:
    """Return the kernel's messages since the machine started, as far as we may read them."""
    status, text = run_command(["dmesg"])
    return text if status == 0 else (read(KERNEL_LOG) or "")
