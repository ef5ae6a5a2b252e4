r"""The scanner finds the few lines of a block that known programs may have written, in one pass.
Pure.

Nine of ten lines of a mail log are other programs'. One regular expression over the whole block
skips each of them in about a quarter of a microsecond, less than one step of a loop over the lines.
The lines that it finds are only candidates, which a function of `records.reader` reads; but it
never skips a line of which that function makes a record of a known program. (A property test holds
the two together.)

The reasons for its speed, in the order in which a line is read:

* it starts with the literal newline, which `re` finds without running the pattern;
* no part of it goes back over text that was read: possessive, atomic, or decided by the next byte;
* a block of the JSON feed is searched for the key `p`, anywhere in the line: `re` has a table for
  its first three bytes;
* a line that starts like `Nov 20 09:11:13 mx1 TAG[` or `..TAG:` in the two usual stamps is decided
  by the tag (the conditional on group 2): the rare shapes are not tried on it;
* the names are one tree, so that 60 names cost little more than one;
* the programs that write the most lines are known, and their lines are passed over first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from .headers import (
    BSD,
    DAY_TIME,
    EPOCH,
    FACILITY,
    HOST,
    ISO,
    JOURNAL_PROGRAM,
    JSON_PROGRAM,
    NGINX,
    PID,
    PRI,
    RFC5424_HOST,
    TAI64,
    TIME,
    OwnLog,
)
from .message import WRAPPED

# Less strict than the stamps and hosts in `headers`, and faster: one class, not ten numbers.
_USUAL_STAMP = "(?:[A-Z][a-z][a-z] [ 0-9][0-9] [0-9:.,]{8,18}+|[0-9][-0-9T:.,+Z]{18,40}+)"
_USUAL_HOST = "[0-9A-Za-z._:@/+~-]{1,255}+(?<!:)"
_BEFORE_TAG = r"(?=[^ \n\[:]++(?:\[|:(?:[ \r\n]|\Z)))"
_USUAL = rf"{_USUAL_STAMP} {_USUAL_HOST} {_BEFORE_TAG}"
# The same, and whether the stamp is one of `headers`, with the host.
_EXACT = f"(?:([A-Z][a-z][a-z] [ 0-9][0-9] {TIME}|{ISO})|{_USUAL_STAMP})"
# Groups: 2 a usual header, 3 its exact stamp, 4 its host; 5 a header of RFC 5424, 6 its host.
_HEADERS = rf"(?>({_EXACT} ({_USUAL_HOST}) {_BEFORE_TAG})|(1 (?:-|{ISO}) ({RFC5424_HOST}) )|)"
LINE_AT, HOST_AT, RFC5424_HOST_AT = 0, 3, 5
"""Where the line and its host stand in what `Scanner.reader` finds."""
GROUPS_BEFORE = 6
"""How many groups stand before those of the `messages` of `Scanner.reader`."""


def usual_tag(program: str) -> str:
    """Return what stands, for `Scanner.reader`, between the host and a message of `program`.

    It has two groups for the pid: in usual headers, and in those of RFC 5424. Behind it comes a
    message that nothing is wrapped around, without the CR that a line may end with.
    """
    rfc5424 = " ([!-~]{1,128}) [!-~]{1,64} -(?>  ?)"
    kinds = rf"(?(3)(?:\[({PID})\])?: |(?(5){rfc5424}|(?!)))"
    return f"{re.escape(program)}{kinds}(?!{WRAPPED})"


_STAMP = f"(?:{BSD}|{ISO}|{DAY_TIME}|{EPOCH}|{TAI64}) "

_OTHERS = (
    *(f"postfix/{name}" for name in (
        "anvil", "bounce", "cleanup", "dnsblog", "error", "lmtp", "local", "master", "pickup",
        "pipe", "postscreen", "qmgr", "scache", "smtp", "smtpd", "smtps/smtpd", "submission/smtpd",
        "tlsproxy", "trivial-rewrite", "verify", "virtual",
    )),
    "CRON", "amavis", "exim", "kernel", "opendkim", "rspamd", "sm-mta", "spamd", "sshd", "systemd",
)  # fmt: skip
"""Programs that write most lines of a mail log, and most likely none of ours."""

Reader = Callable[[str], list[tuple[str, ...]]]
"""See `Scanner.reader`."""

_text_line = re.compile(rb"\n[^{]").search


_compiled = lru_cache(maxsize=16)(re.compile)
"""Compiles a pattern when a block needs it: most feeds need one of three, and a start takes 15 ms
for all of them."""


class Scanner:
    """Finds lines of some programs.

    Args:
        program_names: the names as records have them.
        instance_names: names before which there may be a path (`INSTANCE/imap`).
        own_logs: forms of line that only one server writes.
    """

    def __init__(
        self,
        program_names: Iterable[str],
        instance_names: Iterable[str] = (),
        own_logs: Iterable[OwnLog] = (),
    ) -> None:
        exact = sorted(set(program_names))
        behind_path = sorted(set(instance_names))
        names = _names(exact, behind_path, "/")
        rare = [
            f"{_STAMP}(?: |\\[|(?:{HOST} )?Message forwarded from {HOST}: (?:{FACILITY} )?|"
            f"(?:{HOST} {PRI}{_STAMP}|<{FACILITY}> )?{HOST} (?:{FACILITY} |\\[)?)?"
            rf"{names}[\[:\] ]",
            *(log.start for log in own_logs if log.program in exact),
        ]
        # A slash may be escaped; a name with any other escape is a candidate.
        json_names = _names(exact, behind_path, r"\\?/")
        value = rf'"(?:({json_names})["\[:]|[^"\\\n]*+(?>(?:\\/[^"\\\n]*+)*)\\[^/])[^\n]*+'
        json = f'"{JSON_PROGRAM}{value}'
        either = f'"(?:{JSON_PROGRAM}|{JOURNAL_PROGRAM}){value}'
        behind_host = f"(?:{names} |[!-~]++ [!-~]++ [!-~]++ - ++{NGINX})"
        others = rf"1 [-0-9T:.,+Z]{{1,40}}+ [!-~]++ {behind_host}|(?!1 |\{{)(?:{'|'.join(rare)})"
        others_names = _tree([each for each in _OTHERS if not re.fullmatch(names, each)], "/")
        # Their lines end here, in half the time that the rest takes to tell.
        front = rf"(?>{PRI})(?!{_USUAL_STAMP} {_USUAL_HOST} {others_names}(?:\[|: ))"
        text = rf"{front}(?>({_USUAL})|)(?(2)({names})[\[:]|(?:{others}))[^\n]*+"
        self._lines = rf"\n({text}|\{{[^\n]*?{either})".encode()
        begin = rf"\n({front}{_HEADERS}(?:(?:"
        found = rf"(?(2){names}[\[:]|(?(5){behind_host}|(?:{others})))[^\n]*+"
        end = rf")|{found})|\{{[^\n]*?{either})"
        self._around_messages = begin, end.replace(f"({json_names})", f"(?:{json_names})")
        self._json = json.encode()
        self._journal = either.encode()

    def candidates(self, block: bytes) -> list[bytes]:
        """Return the candidates, in order, without their newlines.

        `block` is complete lines, each with its newline (the last may lack it).
        """
        return [line for line, _ in self.named(block)]

    def named(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Return the lines of `candidates`, each with the name of its program.

        The name is empty unless the line has one of the two usual stamps, or is of the JSON feed.
        """
        if block.startswith(b"{") and not _text_line(block):
            return self._json_candidates(block)
        return [(line, name) for line, _, name, _ in _compiled(self._lines).findall(b"\n" + block)]

    def reader(self, messages: str) -> Reader:
        """Return a function that finds the lines of `named` in text, and reads some of them.

        Args:
            messages: an expression for what stands behind the host: `usual_tag`, and a message to
                the end of the line, `$`. Its first group has the number `GROUPS_BEFORE` + 1.

        The function takes lines, each with a newline in front of it, and returns for each line the
        text of all groups. Those of `messages` are empty in a line that was only found.
        """
        return re.compile(messages.join(self._around_messages), re.MULTILINE).findall

    def _json_candidates(self, block: bytes) -> list[tuple[bytes, bytes]]:
        lines = []
        start = 0
        # `re` has no table of first bytes for two keys, so both are searched only where needed.
        search = self._journal if b"SYSLOG_IDENTIFIER" in block else self._json
        for found in _compiled(search).finditer(block):
            start = block.rfind(b"\n", start, found.start()) + 1 or start
            end = found.end()
            lines.append((block[start:end], found[1] or b""))
            start = end
        return lines


def _names(exact: list[str], behind_path: list[str], slash: str) -> str:
    """Return a pattern for all the names, with slashes written as `slash`."""
    names = _tree([*exact, *behind_path], slash)
    if not behind_path:
        return names
    return rf'(?:{names}|(?>(?:[^ "/\n:\[]*+/)+){_tree(behind_path, slash)})'


def _tree(names: Iterable[str], slash: str) -> str:
    """Return a pattern for exactly these names, branching where they differ."""
    tree: dict[str, Any] = {}
    for name in names:
        node = tree
        for letter in name:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _pattern(tree, slash)


def _pattern(node: dict[str, Any], slash: str) -> str:
    branches = [
        (slash if letter == "/" else re.escape(letter)) + _pattern(node[letter], slash)
        for letter in node
        if letter
    ]
    if not branches:
        return ""
    pattern = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    return f"(?:{pattern})?" if "" in node else pattern
