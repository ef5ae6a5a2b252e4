"""The command line of `pbs-lookup`: `MODE [--name=value ...] [ARGUMENT ...]`.

Read by hand: argparse alone costs two thirds of the interpreter's own start. The help texts are the
table of options, so neither can lack what the other has.
"""

from __future__ import annotations

from ..errors import UsageError
from ..text import duration_seconds
from .answer import DEFAULT_MAP

_MAP = f"""\
  --map=MAP             the map that pbs-filter writes: a file, or a place in Redis: redis://HOST,
                        rediss://HOST, unix:///PATH, redis+sentinel://HOST,HOST/SERVICE; several
                        in Redis are asked in this order, the local replica first
                        (default {DEFAULT_MAP})
  --members=DIRECTORY   with a map in Redis: remember there which filters write to it, so that none
                        is forgotten when Redis is; this account must be able to write there
  --ipv6-prefix=BITS    ipv6_prefix of pbs-filter's configuration (default 128)
  --mta=NAME            the MTA that asks, for the counts of pbs-filter --status and --report:
                        courier, exim, opensmtpd, postfix, qmail, sendmail or other (default: by the
                        protocol, the account or the process that asks)
  --counts=PATH         tell the answers to the filter on this host whose own files begin so
                        (default: the map; with Redis /var/lib/pbs-filter/redis)
"""
_SHADOW = """\
  --shadow              try it out: answer "no" to every question, and log what the answer would be
"""
_SENDERS = """\
  --senders=FILE        relay only for senders that belong to the user who logged in last from the
                        address: lines `USER SENDER ...`, where a sender is user@domain, @domain or
                        <>, and the user * stands for everybody
  --sender=PATTERN      the same for everybody, without a file: {user}, {user}@example.org or
                        @{domain}; may be given several times
"""
_HELP = """\
  --help                print this
"""

USAGE = """\
usage: pbs-lookup MODE [OPTION ...] [ARGUMENT ...]

Answers an MTA's question: may this address relay now? Only reads the map that pbs-filter writes.

  check ADDRESS         one question; the exit status is the answer
  socketmap             one conversation on stdin and stdout: Postfix by spawn(8), inetd, systemd
  policy                the same, as a Postfix policy service
  serve                 many conversations on sockets: Exim, sendmail, busy Postfix
  opensmtpd [MAP]       a table program for OpenSMTPD 7.5 and newer
  relaylock PROGRAM ... between tcpserver or couriertcpd and the SMTP server

`pbs-lookup MODE --help` tells more, `pbs-lookup --version` the version.
"""

MODES = {
    "check": f"""\
usage: pbs-lookup check [OPTION ...] ADDRESS

Exit status 0: may relay. 1: may not, or is not an address. 75: cannot say now. 2: wrong usage.

{_MAP}  --verbose             say it in words, too
{_HELP}""",
    "socketmap": f"""\
usage: pbs-lookup socketmap [OPTION ...]

Speaks the socketmap protocol of Postfix and sendmail on stdin and stdout until they are closed.
Asked by a name that ends in -user, a yes names the login: `OK user=NAME server=... until=...`. By
one that ends in -sender, the key is `ADDRESS SENDER`.

{_MAP}{_SENDERS}{_SHADOW}{_HELP}""",
    "policy": f"""\
usage: pbs-lookup policy [OPTION ...]

Speaks Postfix's policy delegation protocol on stdin and stdout until they are closed.

  --trace=header|log    let nobody relay, but name the login of a client that may: in a header
                        X-Pop-Before-Smtp, or in Postfix's log; for smtpd_data_restrictions
{_MAP}{_SENDERS}{_SHADOW}{_HELP}""",
    "serve": f"""\
usage: pbs-lookup serve [OPTION ...]

Serves sockets until SIGTERM; or those that systemd hands over (FileDescriptorName=socketmap,
policy, trace-header or trace-log). Started as root, it needs --user.

  --socketmap=WHERE     listen there for the socketmap protocol: unix:/PATH or inet:127.0.0.1:PORT;
                        may be given several times
  --policy=WHERE        listen there for Postfix's policy delegation protocol; likewise
  --trace-header=WHERE  the same, to name the login in a header: see --trace of `policy`
  --trace-log=WHERE     the same, to name it in Postfix's log
  --mode=OCTAL          of the unix sockets (default 0660)
  --group=NAME          of the unix sockets: the MTA's group
  --user=NAME           become this user once the sockets are open
{_MAP}{_SENDERS}{_SHADOW}\
  --idle-seconds=TIME   close a connection without questions (default 300; or 5m, 1h)
  --request-seconds=TIME
                        for a request to arrive, a reply to be taken (default 10)
  --max-connections=N   above it the one that is idle for longest must go (default 1000)
{_HELP}""",
    "opensmtpd": f"""\
usage: pbs-lookup opensmtpd [OPTION ...] [MAP]

Speaks OpenSMTPD's table protocol on stdin and stdout. MAP is the same as --map=MAP.

{_MAP}{_SHADOW}{_HELP}""",
    "relaylock": f"""\
usage: pbs-lookup relaylock [OPTION ...] PROGRAM [ARGUMENT ...]

Removes RELAYCLIENT, sets it where TCPREMOTEIP may relay, and becomes PROGRAM, which finds the login
in PBS_USER, PBS_SERVER and PBS_UNTIL (seconds since the epoch).

  --on-trouble=refuse|continue
                        where the map cannot be read: refuse (the default) answers 451 and ends;
                        continue starts PROGRAM without RELAYCLIENT: for ports that also take mail
                        from the world
  --relayclient=TEXT    its value (default: empty): qmail-smtpd appends it to the recipients
  --keep                leave a RELAYCLIENT that tcpserver's own rules have set as it is
{_MAP}{_SHADOW}{_HELP}""",
}


class Options:
    """The options of the command line for one mode."""

    def __init__(self, mode: str, arguments: list[str]) -> None:
        """Read `arguments` (without the mode). Raises `UsageError`.

        Options end at the first word that is none, or after `--`.
        """
        self._mode = mode
        known = _known(MODES[mode])
        self._values: dict[str, list[str]] = {}
        rest = list(arguments)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            name, equals, value = word.removeprefix("--").partition("=")
            if not word.startswith("--") or name not in known:
                raise UsageError(f"{mode}: unknown option {word!r}{_advice(name, known)}")
            if not known[name]:
                if equals:
                    raise UsageError(f"{mode}: --{name} takes no value, but has {value!r}")
            elif not equals:
                if not rest:
                    raise UsageError(f"{mode}: --{name} needs a value: --{name}={known[name]}")
                value = rest.pop(0)
            self._values.setdefault(name, []).append(value)
        self.arguments = rest
        """The words that are no options."""

    def all(self, name: str) -> list[str]:
        """Every value given for `name`."""
        return self._values.get(name, [])

    def text(self, name: str, default: str = "") -> str:
        """Return the last value given for `name`."""
        return self._values.get(name, [default])[-1]

    def flag(self, name: str) -> bool:
        """Return whether `name` is given."""
        return name in self._values

    def number(self, name: str, default: int, low: int, high: int, base: int = 10) -> int:
        """Return the last value given for `name`, between `low` and `high`; `UsageError`
        otherwise."""
        text = self.text(name)
        if not self.flag(name):
            return default
        value: int | None
        try:
            value = duration_seconds(text) if name.endswith("-seconds") else int(text, base)
        except ValueError:
            value = None
        if value is None:
            value = low - 1
        if not low <= value <= high:
            bounds = f"{low:o} to {high:o} (octal)" if base == 8 else f"{low} to {high}"
            raise UsageError(f"{self._mode}: --{name}={text!r} is not a number from {bounds}")
        return value


def _known(help_text: str) -> dict[str, str]:
    """Option names and what they take ("" for flags), from a help text."""
    words = [line.split()[0][2:] for line in help_text.splitlines() if line.startswith("  --")]
    return {name: metavar for name, _, metavar in (word.partition("=") for word in words)}


def _advice(name: str, known: dict[str, str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean --{near[0]}?" if near else "; see --help"
