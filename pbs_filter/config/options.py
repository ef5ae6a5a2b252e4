"""The configuration: command line over file over defaults. Pure: texts in, a frozen Config out.

`OPTIONS` is the one list: the command line, `--dumpconfig`, `examples/pbs-filter.toml` and the
manual are made from it or held to it by a test.
"""

from __future__ import annotations

import difflib
import re
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..addresses import LOOPBACK, Networks
from ..errors import ConfigError
from ..map_format import redis_url

DEFAULT_PATH = "/etc/pbs-filter.toml"
MAX_NAME = 64
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

Kind = Literal[
    "number", "yes-no", "text", "path", "map", "name", "texts", "networks", "table", "tables",
    "choice",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of the configuration."""

    name: str
    kind: Kind
    default: Any
    about: str
    """One or two sentences, for people; the unit is in it or in the name."""
    least: int = 0
    most: int = 10**10
    choices: tuple[str, ...] = ()
    flag: str = ""
    """The command line's name where it is not `--name-with-dashes`."""
    metavar: str = ""


OPTIONS = (
    Option(
        name="map",
        kind="map",
        default="/var/lib/pbs-filter/map.gdbm",
        flag="--dbfile",
        metavar="FILE|URL",
        about="The GDBM map that the MTA's lookups read. Beside it, with its name: .journal (the "
        "truth it is made from), .lock and .control. For several hosts a Redis: redis://HOST, "
        "rediss:// (TLS), unix:///PATH of a socket, redis+sentinel://HOST,HOST/SERVICE; see "
        "examples/redis.",
    ),
    Option(
        name="local_state",
        kind="path",
        default="/var/lib/pbs-filter/redis",
        metavar="PATH",
        about="With a map in Redis: the names of this host's own files begin with it, .journal, "
        ".lock and .control.",
    ),
    Option(
        name="redis_name",
        kind="name",
        default="",
        metavar="NAME",
        about="With a map in Redis: what this filter is called there; no other one may have the "
        "same. Empty: the name of this host.",
    ),
    Option(
        name="grace_seconds",
        kind="number",
        default=1800,
        least=1,
        most=7 * 86400,
        flag="--grace",
        metavar="SECONDS",
        about="How long an address may relay after a login or the end of a session.",
    ),
    Option(
        name="max_session_seconds",
        kind="number",
        default=43200,
        most=30 * 86400,
        about="The longest an open session holds its address, should its logout never be logged. "
        "0: sessions hold nothing, only the grace counts.",
    ),
    Option(
        name="patience_seconds",
        kind="number",
        default=600,
        least=1,
        most=86400,
        about="How long after the connection the login of a server that writes two lines may come.",
    ),
    Option(
        name="local_networks",
        kind="networks",
        default=tuple(LOOPBACK),
        about="Networks that may relay anyway: never stored. Addresses or CIDR.",
    ),
    Option(
        name="local_networks_command",
        kind="text",
        default="",
        about="A command whose output is added to local_networks at start and on SIGHUP, for "
        'Postfix "postconf -hx mynetworks". Run without a shell, at most 10 seconds.',
    ),
    Option(
        name="proxy_networks",
        kind="networks",
        default=(),
        about="Networks of POP/IMAP proxies and webmail hosts, whose address stands in the lines "
        "of the servers behind them: never authorised.",
    ),
    Option(
        name="deny_networks",
        kind="networks",
        default=(),
        about="Networks that are never authorised, whoever logs in from them.",
    ),
    Option(
        name="deny_users",
        kind="texts",
        default=(),
        about="Users whose logins never authorise, as the server writes their names.",
    ),
    Option(
        name="trusted_hosts",
        kind="networks",
        default=(),
        about="Hosts whose lines count when they come over the network (central logging). Empty: "
        "only lines of this host.",
    ),
    Option(
        name="require_vouched",
        kind="yes-no",
        default=False,
        about="Take only lines whose sender the syslog daemon vouches for: the JSON feed with "
        "credentials, or a trusted host.",
    ),
    Option(
        name="trusted_accounts",
        kind="table",
        default={},
        about="For each server the accounts (names or uids) that may write its lines beside root "
        'and those its server file names: {dovecot = ["vmail"]}. "=user" is the account of the '
        "user who logs in: UW, mailutils and Qpopper write after they became that user.",
    ),
    Option(
        name="servers",
        kind="texts",
        default=(),
        about="The servers whose lines are read, by name. Empty: all that pbs-filter knows.",
    ),
    Option(
        name="programs",
        kind="table",
        default={},
        about='For each server more program names under which it logs: {mailfront = ["pop3"]}.',
    ),
    Option(
        name="enable",
        kind="texts",
        default=(),
        about="Rules that are off unless asked for: dovecot-proxy (a login that Dovecot passes on "
        "to another host counts), popa3d-login-patched (a build that writes the address "
        "behind the name), nginx-login-any-port, vpopmail-unnamed (see their server files).",
    ),
    Option(
        name="ipv6_prefix",
        kind="number",
        default=128,
        least=32,
        most=128,
        about="Authorise a whole IPv6 network of this prefix length instead of the one address. "
        "Tell pbs-lookup the same.",
    ),
    Option(
        name="max_addresses",
        kind="number",
        default=2_000_000,
        least=1,
        most=50_000_000,
        about="The most addresses (and open sessions) at one time; more are refused and counted.",
    ),
    Option(
        name="max_pending_sessions",
        kind="number",
        default=100_000,
        least=1,
        most=10_000_000,
        about="The most connections without a login that are remembered; the oldest is forgotten.",
    ),
    Option(
        name="confirm",
        kind="choice",
        default="auto",
        choices=("auto", "yes", "lines", "no"),
        metavar="auto|yes|lines|no",
        about="Answer each line on stdout (rsyslog's confirmMessages). auto: when stdin and stdout "
        "are pipes. lines: all but the first OK, which somebody else said (rsyslog/pbs-filter.conf "
        "tells why).",
    ),
    Option(
        name="write",
        kind="yes-no",
        default=True,
        about="Write journal and map. Off: everything stays in memory.",
    ),
    Option(
        name="flock",
        kind="yes-no",
        default=True,
        about="Lock the map with GDBM's own lock while it is written. Off only on file systems "
        "that have no flock(2).",
    ),
    Option(name="debug", kind="yes-no", default=False, about="Log every decision."),
    Option(
        name="logto",
        kind="path",
        default="",
        metavar="FILE|-",
        about="The log file; - is stdout (not while confirming), empty is stderr.",
    ),
    Option(
        name="user",
        kind="text",
        default="",
        about="The account to become when started as root. Empty: stay.",
    ),
    Option(
        name="group",
        kind="text",
        default="",
        about="The group whose members may read the map. Empty: the account's own group.",
    ),
    Option(
        name="metrics",
        kind="path",
        default="",
        metavar="FILE",
        about="A file for the textfile collector of Prometheus' node_exporter, whose name ends in "
        ".prom; written at most every 15 seconds. Empty: none.",
    ),
    Option(
        name="export",
        kind="tables",
        default=(),
        about="Files for MTAs that read no map: format, path, interval_seconds, command, "
        "command_timeout_seconds, mode.",
    ),
    Option(
        name="server",
        kind="tables",
        default=(),
        about="A site's own server: name, program, login, logout, connected, accepted, refused "
        "(templates), or pop-before-smtp's patterns; samples. Or only python, the path of a file "
        "with a grammar.",
    ),
)

BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every option with its value; see `OPTIONS` for their meaning and units."""

    map: str
    local_state: str
    redis_name: str
    grace_seconds: int
    max_session_seconds: int
    patience_seconds: int
    local_networks: tuple[str, ...]
    local_networks_command: str
    proxy_networks: tuple[str, ...]
    deny_networks: tuple[str, ...]
    deny_users: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    require_vouched: bool
    trusted_accounts: Mapping[str, tuple[str | int, ...]]
    servers: tuple[str, ...]
    programs: Mapping[str, tuple[str, ...]]
    enable: tuple[str, ...]
    ipv6_prefix: int
    max_addresses: int
    max_pending_sessions: int
    confirm: str
    write: bool
    flock: bool
    debug: bool
    logto: str
    user: str
    group: str
    metrics: str
    export: tuple[Mapping[str, Any], ...]
    server: tuple[Mapping[str, Any], ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from, for --dumpconfig."""

    @property
    def files(self) -> str:
        """What the paths of this host's own files begin with."""
        return self.local_state if redis_url.is_redis(self.map) else self.map

    @property
    def journal(self) -> str:
        """The journal's path."""
        return self.files + ".journal"

    @property
    def lock(self) -> str:
        """The lock file's path."""
        return self.files + ".lock"

    @property
    def control(self) -> str:
        """The path of the socket on which a running filter takes requests."""
        return self.files + ".control"


def nearest(word: str, known: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    """` Did you mean 'x'?`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    # "grace" is meant for "grace_seconds", though most letters differ.
    close += [each for each in known if len(word) > 2 and each.startswith(f"{word}_")]
    return f" Did you mean {close[0]!r}?" if close else ""


def build(
    file_text: str | None, file_name: str, command_line: Mapping[str, Any] | None = None
) -> Config:
    """The configuration from a file's text (None: no file) and the command line's values.

    Raises:
        ConfigError: file, key, value, and what is valid.
    """
    values = {option.name: option.default for option in OPTIONS}
    sources = dict.fromkeys(values, "default")
    if file_text is not None:
        try:
            table = tomllib.loads(file_text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file_name}: {_not_toml(file_text, str(error))}") from None
        for key, value in table.items():
            option = BY_NAME.get(key)
            if option is None:
                raise ConfigError(
                    f"{file_name}: unknown key {key!r}.{nearest(key, BY_NAME)} "
                    "pbs-filter.toml(5) lists every key."
                )
            values[key] = _checked(option, value, f"{file_name}: {key}")
            sources[key] = file_name
    for key, value in (command_line or {}).items():
        option = BY_NAME[key]
        values[key] = _checked(option, value, option.flag or f"--{key.replace('_', '-')}")
        sources[key] = "command line"
    return Config(sources=sources, **values)


def _not_toml(text: str, why: str) -> str:
    """What is wrong with a text that is not TOML, with the line that `why` names."""
    found = re.search(r"at line (\d+)", why)
    lines = text.splitlines()
    number = min(int(found[1]), len(lines)) if found else len(lines)
    line = lines[number - 1] if lines else ""
    return f'not TOML: {why}: {line!r}; write KEY = VALUE, and a text in quotes: user = "mail"'


def _checked(option: Option, value: Any, where: str) -> Any:
    """`value` as the option's type.

    Raises:
        ConfigError: it is not of that type, or out of range.
    """
    kind = option.kind
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(
                f"{where}: {value!r} is not a whole number; write digits without quotes, as in "
                f"{option.name} = {option.default}"
            )
        if not option.least <= value <= option.most:
            raise ConfigError(f"{where}: {value!r} is not from {option.least} to {option.most}")
        return value
    if kind == "yes-no":
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} is not true or false, without quotes")
        return value
    if kind == "choice":
        if value not in option.choices:
            raise ConfigError(f"{where}: {value!r} is not one of {', '.join(option.choices)}")
        return value
    if kind in ("text", "path", "map", "name"):
        if not isinstance(value, str) or not value.isprintable():
            raise ConfigError(f"{where}: {value!r} is not a text of printable characters")
        _check_text(option, value, where)
        return value
    if kind == "table":
        return _table(value, where)
    if kind == "tables":
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ConfigError(f"{where}: write [[{option.name}]] tables, not {value!r}")
        return tuple(value)
    texts = _texts(value, where)
    if kind == "networks":
        try:
            Networks(texts)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return texts


def _check_text(option: Option, value: str, where: str) -> None:
    kind = option.kind
    # What may be left out is "" by default.
    none_needed = option.default == "" and value in ("", "-")
    if kind == "map" and "://" in value:
        try:
            redis_url.parse(value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    elif kind in ("path", "map") and not (value.startswith("/") or none_needed):
        raise ConfigError(f"{where}: {value!r} is not an absolute path; it must begin with /")
    elif kind in ("path", "map") and value.endswith("/"):
        raise ConfigError(
            f"{where}: {value!r} names a directory; write the path of a file in it, as in "
            f"{option.default or '/var/log/pbs-filter.log'}"
        )
    elif kind == "name" and not (_NAME.issuperset(value) and len(value) <= MAX_NAME):
        raise ConfigError(
            f"{where}: {value!r} is not a name of at most {MAX_NAME} letters, digits, '.', '_', '-'"
        )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(item, str) and item.isprintable() for item in value
    ):
        raise ConfigError(f'{where}: {value!r} is not a list of texts; write ["...", "..."]')
    return tuple(value)


def _table(value: Any, where: str) -> dict[str, tuple[str | int, ...]]:
    """A table of lists of names or numbers."""
    if not isinstance(value, dict):
        raise ConfigError(
            f'{where}: {value!r} is not a table of lists; write {{dovecot = ["name"]}}'
        )
    for key, items in value.items():
        if not isinstance(items, list) or not all(
            isinstance(item, str | int) and not isinstance(item, bool) for item in items
        ):
            raise ConfigError(
                f'{where}.{key}: {items!r} is not a list of names or numbers; write ["name"]'
            )
    return {key: tuple(items) for key, items in value.items()}


def dump(config: Config) -> str:
    """Each value and where it came from, as TOML with comments."""
    lines = []
    for option in OPTIONS:
        value = getattr(config, option.name)
        lines.append(f"{option.name} = {toml(value)}  # {config.sources[option.name]}")
    return "\n".join(lines) + "\n"


def toml(value: Any) -> str:
    """One value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(toml(item) for item in value) + "]"


def flag_of(option: Option) -> str:
    """The command line's name of an option."""
    return option.flag or "--" + option.name.replace("_", "-")


def accepts(option: Option) -> str:
    """What values an option takes, as a sentence; empty where its default shows it."""
    if option.kind == "number":
        return f"A whole number from {option.least} to {option.most}."
    if option.kind == "choice":
        return f"One of: {', '.join(option.choices)}."
    return ""


def example() -> str:
    """`examples/pbs-filter.toml`: every option with its default, as comments to copy from."""
    parts = [
        "# pbs-filter.toml: every option, with its default. Set only what should differ.\n"
        "# Check it with: pbs-filter --config=FILE --check\n"
    ]
    for option in OPTIONS:
        text = textwrap.fill(option.about, 94, initial_indent="# ", subsequent_indent="# ")
        if values := accepts(option):
            text += f"\n# {values}"
        if option.kind not in ("table", "tables"):
            text += f"\n# Command line: {flag_of(option)}"
        if option.kind == "tables":
            text += f"\n# One [[{option.name}]] table each; they stand at the end of the file."
            parts.append(f"{text}\n")
        else:
            parts.append(f"{text}\n#{option.name} = {toml(option.default)}\n")
    return "\n".join(parts)
