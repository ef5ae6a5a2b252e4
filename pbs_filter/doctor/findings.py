"""The findings say what each outcome means, and what to type. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..config.options import DEFAULT_PATH
from ..integrations.finding import LOG, Finding, note, ok, wrong
from ..monitor.configuration import not_in_use
from ..text import counted

CLOCK_SECONDS = 5
"""A line's stamp may be so much older than the line."""
QUARTER = 900
"""Time zones differ by quarters of an hour."""
LAST_CHARACTERS = 300
LAST_LINES = 12
"""How much of the end of a log is looked at."""
MAP = "/var/lib/pbs-filter/map.gdbm"
EXPLAIN = "pbs-filter --status"


# ---------------------------------------------------------------------- the feed


def drop_in(
    daemon: str, path: str, *, missing: str, other: str, setup: str, way: str = ""
) -> Finding:
    """Judge whether `daemon` (with its version) has the file at `path` that feeds us, and what it
    needs beside it.

    Args:
        daemon: its name and version.
        path: where that file is; "" where it has no place for one.
        missing: the first of these files that is not there; "" where all are.
        other: the first that is not this version's; "" where all are.
        setup: the command that shows what should be.
        way: how the daemon hands over lines, if that should be said.
    """
    if not path:
        return note("daemon", f"{daemon} includes no directory of drop-ins; see {setup}")
    if missing:
        return wrong("daemon", f"{daemon} has no {missing}", setup)
    if other:
        text = f"{other} is not this version's (or was edited)"
        return note("daemon", f"{daemon}: {text}", f"{setup}   # shows the difference")
    return ok("daemon", f"{daemon}, {path}" + (f": {way}" if way else ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedProbe:
    """The outcome of the test line."""

    daemon: str
    """Its name; "" where none is installed."""
    restart: str
    """The command that restarts it."""
    socket: str
    problem: str
    """Why the line could not be sent; "" where it could."""
    answered: bool
    """A filter answered at the control socket."""
    seen: Mapping[str, Any] | None
    """What the filter says of the line (`pipeline.TestLine`)."""
    version: str = ""
    """Of the running filter."""
    sent_epoch: int = 0
    waited_seconds: float = 0.0
    uid: int = 0
    """Whose line it was."""


def feed(probe: FeedProbe, log_text: str = "", *, trouble: bool = False, unit: str = "") -> Finding:
    """Judge whether the daemon feeds us.

    Args:
        probe: what became of the test line.
        log_text: the filter's log, where it has one.
        trouble: the store cannot be written, so that no line is taken.
        unit: the unit of systemd that reads the journal into the filter, where that is the feed.
    """
    name = probe.daemon or "the feed"
    setup = f"pbs-filter --setup {probe.daemon}".strip()
    if probe.problem:
        return wrong(
            "feed", f"nobody takes lines at {probe.socket}: {probe.problem}", probe.restart
        )
    if probe.seen is not None:
        return ok(
            "feed",
            f"{name}: a test line through {probe.socket} was seen by the filter "
            f"after {probe.waited_seconds:.1f} s",
        )
    if not probe.answered:
        last = last_words(log_text)
        look = (f"tail {LOG}", *((f"journalctl -u {unit}",) if unit else ()))
        return wrong(
            "feed",
            f"no filter answers: {name} started none for the test line within "
            f"{probe.waited_seconds:.0f} s, or it cannot work"
            + (f"; the log ends with {last!r}" if last else ""),
            *((*look, setup, probe.restart) if last else (probe.restart, setup, *look)),
        )
    if trouble:
        text = "the test line waits, as all lines do, because the store cannot be written"
        return wrong("feed", text, "mend the store first: below")
    return wrong(
        "feed",
        f"a filter runs, but the test line did not come to it within {probe.waited_seconds:.0f} s",
        setup,
        probe.restart,
    )


def last_words(log_text: str) -> str:
    """Return the end of a log: its last lines, those first that tell of trouble in plain words.

    What a program printed that is not the filter (journalctl, the shell) has no time in front.
    """
    lines = [line for line in log_text.strip().splitlines()[-LAST_LINES:] if line.strip()]
    foreign = [line for line in lines if not re.match(r"\d{4}-\d\d-\d\dT", line)]
    return " | ".join(dict.fromkeys((foreign or lines)[-2:]))[-LAST_CHARACTERS:]


def service(name: str, values: Mapping[str, str], restart: str) -> Finding | None:
    """Judge the state of the unit `name` by `systemctl show`: None where it is well."""
    state, result = values.get("ActiveState", ""), values.get("Result", "")
    if state not in ("failed", "activating") or (state == "activating" and result == "success"):
        return None
    return wrong(
        "unit",
        f"{name} does not stay up: {state}, {result}, exit status "
        f"{values.get('ExecMainStatus', '?')}, restarts: {values.get('NRestarts', '?')}",
        f"journalctl -u {name}",
        f"tail {LOG}",
        restart,
    )


def stale(
    name: str, changed: Mapping[str, int], started: int, restart: str, subject: str = "MTA"
) -> Iterator[Finding]:
    """Judge whether a daemon was started before files were changed that it reads only once.

    Args:
        name: of the daemon.
        changed: when each file was changed, by path (epoch seconds).
        started: when the daemon was; 0: it is not known.
        restart: the command that starts it again.
        subject: of the finding.
    """
    for path, moment in changed.items():
        if 0 < started < moment:
            yield note(
                subject,
                f"{path} was changed after {name} was started: if {name} was not told to read it "
                "since, it goes by the old one",
                restart,
            )


def vouched(probe: FeedProbe, *, required: bool) -> Finding:
    """Judge whether the daemon says who wrote a line."""
    assert probe.seen is not None
    uid, peer = probe.seen["uid"], probe.seen["peer"]
    if peer:
        return wrong(
            "forgery",
            f"a line of this machine arrives as one of {peer}",
            "read log lines of this machine from the log socket, not by TCP or UDP",
        )
    if uid == probe.uid:
        return ok("forgery", f"the daemon says which uid wrote a line ({uid})")
    if uid is not None:
        return wrong(
            "forgery",
            f"the daemon says uid {uid} wrote a line of uid {probe.uid}",
            f"pbs-filter --setup {probe.daemon}",
        )
    if required:
        return wrong(
            "forgery",
            "require_vouched is on, and the daemon does not say who wrote a line: every login is "
            "refused",
            f"pbs-filter --setup {probe.daemon}",
        )
    return note(
        "forgery",
        "the daemon does not say who wrote a line: whoever can log can authorise an address",
        f"pbs-filter --setup {probe.daemon}",
    )


def clock(probe: FeedProbe) -> Finding:
    """Judge whether the stamps of fed lines agree with the clock here."""
    assert probe.seen is not None
    at = probe.seen["at_epoch"]
    if at is None:
        return note("clock", "the feed does not say when a line was written")
    late = probe.sent_epoch - int(at)
    if abs(late) <= CLOCK_SECONDS:
        return ok("clock", "the test line's stamp is this machine's time")
    rest = late % QUARTER
    if late >= QUARTER and min(rest, QUARTER - rest) <= CLOCK_SECONDS:
        return wrong(
            "clock",
            f"the daemon reads stamps in another time zone: by {counted(late // 60, 'minute')} "
            "too old, and a login that is older than its grace authorises nobody",
            "ls -l /etc/localtime",
            probe.restart,
        )
    return wrong(
        "clock", f"the test line's stamp is {late} s older than the line", "date", probe.restart
    )


def running(status: Mapping[str, Any], *, version: str, restart: str) -> list[Finding]:
    """Return the findings about the running filter, by its own words."""
    findings = []
    if status["version"] != version:
        text = f"version {status['version']} runs, {version} is installed"
        findings.append(wrong("filter", text, restart))
    old = not_in_use(status)
    if old:
        findings.append(wrong("configuration", old, restart))
    if status["trouble"]:
        findings.append(wrong("store", status["trouble"], f"tail {LOG}"))
    else:
        findings.append(
            ok("store", f"written; {counted(status['authorised'], 'address')} may relay")
        )
    shared = status["map"]
    if shared is not None and shared["trouble"]:
        findings.append(wrong("map", f"Redis cannot be used: {shared['trouble']}", f"tail {LOG}"))
    findings += [
        wrong(f"warning: {item['kind']}", item["sentence"], item["todo"])
        for item in status["warnings"]
    ]
    unread = ", ".join(f"{name} {item['count']}" for name, item in status["unread"].items())
    logins = ", ".join(f"{name} {n}" for name, n in status["logins"].items())
    if not unread:
        findings.append(ok("lines", f"{status['lines']} read; logins: {logins or 'none yet'}"))
    elif not any(item["kind"] == "unread" for item in status["warnings"]):
        findings.append(note("lines", f"some are read by no rule: {unread}", EXPLAIN))
    return findings


# ---------------------------------------------------------------------- the map, the kernel


def lookup(user: str, status: int, said: str, *, restart: str, closed: str = "") -> Finding:
    """Judge the outcome of `pbs-lookup check` as the lookups' account; `closed`: a map that is its
    owner's alone."""
    said = said.strip().splitlines()[-1] if said.strip() else ""
    if status == 0:
        return wrong(
            "lookup", f"an address of nobody (TEST-NET-1) may relay: {said}", "pbs-filter --list"
        )
    if status == 1:
        return ok("lookup", f"{user} can read the map")
    path = re.search(r"/[^\s:]+", said)
    if "Permission denied" in said and closed:
        text = f"{user} cannot read the map, which is closed to its group"
        return wrong("lookup", text, f"chmod 0640 {closed}")
    if "Permission denied" in said:
        return wrong(
            "lookup",
            f"{user} cannot read the map: {said}",
            f"namei -l {path[0] if path else MAP}",
            f"set `group` in {DEFAULT_PATH} to a group of {user}",
            restart,
        )
    if "No such file" in said:
        return wrong("lookup", f"there is no map: {said}", restart, f"tail {LOG}")
    return wrong("lookup", f"pbs-lookup as {user} cannot answer: {said} (exit {status})", restart)


def denials(kernel_log: str) -> Finding | None:
    """Judge whether AppArmor denied the filter something; None: nothing of that kind is there."""
    lines = [
        line
        for line in kernel_log.splitlines()
        if 'apparmor="DENIED"' in line
        and re.search(r'comm="(?:pbs-filter|pbs-lookup)"|pbs-filter', line)
    ]
    if not lines:
        return None
    name = re.search(r'name="([^"]*)"', lines[-1])
    profile = re.search(r'profile="([^"]*)"', lines[-1])
    return wrong(
        "AppArmor",
        f"denied {counted(len(lines), 'time')}, the last time "
        f"{repr(name[1]) if name else 'something'} by the "
        f"profile {repr(profile[1]) if profile else '?'}",
        "pbs-filter --setup rsyslog",
        "apparmor_parser -r /etc/apparmor.d/usr.sbin.rsyslogd",
    )


# ---------------------------------------------------------------------- what is printed


def with_program(finding: Finding, program: str) -> Finding:
    """Return `finding` with the path of this machine's pbs-filter in the commands."""
    todo = tuple(
        program + line.removeprefix("pbs-filter") if line.startswith("pbs-filter ") else line
        for line in finding.todo
    )
    return replace(finding, todo=todo)


def rows(findings: Sequence[Finding]) -> str:
    """Return the lines of `findings`, for people."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<6} {finding.subject:<{width}}  {finding.text}\n")
        lines += [f"{'':<6} {'':<{width}}  -> {line}\n" for line in finding.todo]
    return "".join(lines)


def total(findings: Sequence[Finding]) -> str:
    """Return the last line, for people."""
    bad = sum(finding.state == "wrong" for finding in findings)
    return "\nall is well\n" if not bad else f"\n{bad} wrong\n"


def objects(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for programs."""
    return {
        "well": all(finding.state != "wrong" for finding in findings),
        "findings": [
            {"subject": f.subject, "state": f.state, "text": f.text, "todo": list(f.todo)}
            for f in findings
        ],
    }
