"""The options: each is declared once, by one field of `Config`. Pure.

A field's line is all there is to a new option: `pbs-filter --NAME`, `--dumpconfig` and `--help` are
made from it, and by `python -m tests.generated` `examples/pbs-filter.toml` and pbs-filter.toml(5).
"""

from __future__ import annotations

from collections.abc import Mapping

from ..addresses import LOOPBACK
from ..map_format import redis_url
from .declare import Table, option, tables
from .kinds import (
    LISTS,
    MAP,
    NAME,
    NETWORKS,
    TEXT,
    TEXTS,
    USERS,
    YES_NO,
    choice,
    file_path,
    seconds,
    whole,
)
from .tables import Export, Group, Hook, SiteServer

DEFAULT_PATH = "/etc/pbs-filter.toml"
DAY = 86400


class Config(Table):
    """Every option with its value."""

    map: str = option(
        MAP,
        "/var/lib/pbs-filter/map.gdbm",
        "The GDBM map that the MTA's lookups read. Beside it, with its name: .journal (the truth "
        "it is made from), .lock, .control and .usage. For several hosts a Redis: redis://HOST, "
        "rediss:// (TLS), unix:///PATH of a socket, redis+sentinel://HOST,HOST/SERVICE; see "
        "examples/redis.",
        synonym="--dbfile",
    )
    local_state: str = option(
        file_path(),
        "/var/lib/pbs-filter/redis",
        "With a map in Redis: the names of this host's own files begin with it, .journal, .lock "
        "and .control.",
    )
    redis_name: str = option(
        NAME,
        "",
        "With a map in Redis: the name of this filter there; no other filter may have the same. "
        "Empty: the name of this host.",
    )
    grace_seconds: int = option(
        seconds(1, 7 * DAY),
        1800,
        "How long an address may relay after a login or the end of a session.",
        synonym="--grace",
    )
    max_session_seconds: int = option(
        seconds(0, 30 * DAY),
        12 * 3600,
        "The longest an open session holds its address, should its logout never be logged. 0: "
        "sessions hold nothing, only the grace counts.",
    )
    patience_seconds: int = option(
        seconds(1, DAY),
        600,
        "How long after the connection the login of a server that writes two lines may come.",
    )
    local_networks: tuple[str, ...] = option(
        NETWORKS,
        tuple(LOOPBACK),
        "Networks that may relay anyway: never stored. Addresses or CIDR.",
        reload=True,
    )
    local_networks_command: str = option(
        TEXT,
        "",
        "A command whose output is added to local_networks at start and on SIGHUP, for Postfix "
        '"postconf -hx mynetworks". Run without a shell, at most 10 seconds.',
        reload=True,
    )
    proxy_networks: tuple[str, ...] = option(
        NETWORKS,
        (),
        "Networks of POP/IMAP proxies and webmail hosts, whose address stands in the lines of the "
        "servers behind them: never authorised.",
        reload=True,
    )
    deny_networks: tuple[str, ...] = option(
        NETWORKS, (), "Networks that are never authorised, whoever logs in from them.", reload=True
    )
    allow_networks: tuple[str, ...] = option(
        NETWORKS,
        (),
        "The only networks that may be authorised. Empty: all that are not excluded.",
        reload=True,
    )
    deny_users: tuple[str, ...] = option(
        USERS,
        (),
        "Users whose logins never authorise, and whose sessions end when the list is read: names, "
        "or patterns in which * stands for any "
        'characters ("*@example.org"). Capitals do not matter, and bob is also bob*master. A path '
        '("/etc/pbs-filter/denied") is a file with one of them a line.',
        reload=True,
    )
    allow_users: tuple[str, ...] = option(
        USERS,
        (),
        "The only users whose logins authorise, written as in deny_users, which goes first. "
        "Empty: all. With an empty file: nobody.",
        reload=True,
    )
    trusted_hosts: tuple[str, ...] = option(
        NETWORKS,
        (),
        "Hosts whose lines count when they come over the network (central logging). Empty: only "
        "lines of this host.",
        reload=True,
    )
    require_vouched: bool = option(
        YES_NO,
        False,
        "Take only lines whose sender the syslog daemon vouches for: the JSON feed with "
        "credentials, or a trusted host.",
        reload=True,
    )
    geoip_database: str = option(
        file_path(""),
        "",
        "A database of countries in MaxMind's format (GeoLite2-Country.mmdb): a login from a "
        "country that this user has not come from within geoip_days authorises nobody, and warns. "
        "A user's first country is learnt, and after --forget --erase USER the next one. Needs the "
        "package maxminddb. Empty: off.",
        reload=True,
    )
    geoip_days: int = option(
        whole(1, 3650),
        90,
        "How long a login makes its country known for its user.",
        reload=True,
    )
    geoip_countries: tuple[str, ...] = option(
        TEXTS,
        (),
        "Countries (ISO codes, such as DE) that are known for every user.",
        reload=True,
    )
    require_tls: bool = option(
        YES_NO,
        False,
        "Only logins by TLS authorise: the line says so (Dovecot, Courier, Cyrus, nginx, "
        "Perdition, Stalwart, Zimbra), or the program or the port is one of TLS (imaps, pop3s, "
        "imapd-ssl, 993, 995). --check names the servers whose lines cannot say. A proxy's "
        "connection is not the client's: require it in the proxy's lines.",
        reload=True,
    )
    trusted_accounts: Mapping[str, tuple[str | int, ...]] = option(
        LISTS,
        {},
        "For each server the accounts (names or uids) that may write its lines beside root and, "
        'if `servers` names it, those of its own: {dovecot = ["vmail"]}. Every program of such an '
        "account can then authorise any address; mind www-data, nobody and daemon. "
        '"=user" is the account of the user who logs in: UW, mailutils and Qpopper write after '
        "they became that user.",
        reload=True,
    )
    servers: tuple[str, ...] = option(
        TEXTS,
        (),
        "The servers whose lines are read, by name. Empty: all that pbs-filter knows, except where "
        "a piece of a client's text cannot be told from a line (mailutils, mailfront; "
        "Courier by journald or UDP), and only root may write them.",
    )
    programs: Mapping[str, tuple[str, ...]] = option(
        LISTS,
        {},
        'For each server more program names under which it logs: {mailfront = ["pop3"]}.',
    )
    enable: tuple[str, ...] = option(
        TEXTS,
        (),
        "Rules that are off unless asked for: dovecot-proxy (a login that Dovecot passes on to "
        "another host counts), popa3d-login-patched (a build that writes the address behind the "
        "name), nginx-login-any-port, vpopmail-unnamed (see their server files).",
    )
    ipv6_prefix: int = option(
        whole(32, 128),
        128,
        "Authorise a whole IPv6 network of this prefix length instead of the one address. Tell "
        "pbs-lookup the same.",
    )
    max_addresses: int = option(
        whole(1, 50_000_000),
        2_000_000,
        "The most addresses (and open sessions) at one time; more are refused and counted.",
    )
    max_addresses_per_user: int = option(
        whole(0, 10_000),
        20,
        "The most addresses that one user's logins let in at one time: a bound on what a stolen "
        "password opens. A further address is not authorised, counted and warned of; the known "
        "ones go on. --authorise is not bound by it. 0: no limit.",
    )
    max_pending_sessions: int = option(
        whole(1, 10_000_000),
        100_000,
        "The most connections without a login that are remembered; the oldest is forgotten.",
    )
    history_days: int = option(
        whole(0, 3660),
        30,
        "How long the journal remembers what has ended, for --history (it is written anew, without "
        "that, after half of this time; 0: after an hour), and .usage beside it, for --report.",
    )
    confirm: str = option(
        choice("auto", "yes", "lines", "no"),
        "auto",
        "Answer each line on stdout (rsyslog's confirmMessages). auto: when stdin and stdout are "
        "pipes. lines: all but the first OK, which the shell in front of it has said "
        "(rsyslog/pbs-filter.conf).",
    )
    write: bool = option(
        YES_NO,
        True,
        "Write journal, map and exports, and run hooks. Off: everything stays in memory, the log "
        "says what would be done, and --status shows it.",
    )
    flock: bool = option(
        YES_NO,
        True,
        "Lock the map with GDBM's own lock while it is written. Off only on file systems that "
        "have no flock(2).",
    )
    debug: bool = option(YES_NO, False, "The same as log_level = debug: log every decision.")
    logto: str = option(
        file_path("", "-", "syslog"),
        "",
        "The log file; - is stdout (not while confirming), empty is stderr, syslog the syslog "
        "daemon (facility daemon).",
    )
    log_format: str = option(
        choice("text", "json"), "text", "Lines for people, or one JSON object a line."
    )
    log_level: str = option(
        choice("warning", "info", "debug"),
        "info",
        "How much is logged. warning: what the operator should know. info: also each authorisation "
        "begun and ended, session, refusal by policy, and each --authorise and --forget. "
        "debug: also every decision. At most 500 lines of these a second; the rest is counted.",
    )
    user: str = option(
        TEXT, "", "The account to become when started as root. Empty: stay as started."
    )
    group: str = option(
        TEXT, "", "The group whose members may read the map. Empty: the account's own group."
    )
    metrics: str = option(
        file_path("", "-"),
        "",
        "A file for the textfile collector of Prometheus' node_exporter, whose name ends in "
        ".prom; written at most every 15 seconds. Empty: none.",
    )
    export: tuple[Export, ...] = option(
        tables("export", Export, "path"), (), "A file for an MTA that reads no map."
    )
    hook: tuple[Hook, ...] = option(
        tables("hook", Hook),
        (),
        "Commands to run when something happened. Four run at one time; what comes faster than "
        "they end is dropped, and counted in the log.",
    )
    groups: tuple[Group, ...] = option(
        tables("groups", Group, "name"),
        (),
        "Users and networks whose logins count for longer or shorter than the others'. The first "
        "that fits decides. In a file that does not set group, the account's, it may be written "
        "[[group]].",
        reload=True,
    )
    server: tuple[SiteServer, ...] = option(
        tables("server", SiteServer, "name"),
        (),
        "A site's own server: templates of its lines, or pop-before-smtp's patterns, and samples; "
        "or only python.",
    )
    sources: Mapping[str, str] = {}
    """Where each value came from, for --dumpconfig."""
    files_read: tuple[str, ...] = ()
    """The configuration files that were read, in their order."""

    @property
    def files(self) -> str:
        """The beginning of the paths of this host's own files."""
        return self.local_state if redis_url.is_redis(self.map) else self.map

    @property
    def holds(self) -> bool:
        """Return whether any session holds its address."""
        return any((self.max_session_seconds, *(g.max_session_seconds for g in self.groups)))

    @property
    def longest_seconds(self) -> int:
        """The longest that one login can let an address in."""
        return max(
            (each.grace_seconds or self.grace_seconds)
            + (
                self.max_session_seconds
                if each.max_session_seconds is None
                else each.max_session_seconds
            )
            for each in (*self.groups, Group(name=""))
        )

    @property
    def journal(self) -> str:
        """The journal's path."""
        return self.files + ".journal"

    @property
    def lock(self) -> str:
        """The lock file's path."""
        return self.files + ".lock"

    @property
    def usage(self) -> str:
        """The path of the file with the counts for --report."""
        return self.files + ".usage"

    @property
    def control(self) -> str:
        """The path of the socket on which a running filter takes requests."""
        return self.files + ".control" if self.write else self.trial_control

    @property
    def trial_control(self) -> str:
        """The same of a filter with --nowrite, which may run beside one that writes."""
        return self.files + ".nowrite.control"


OPTIONS = Config.options
"""The options by name, in the order in which documents show them."""
