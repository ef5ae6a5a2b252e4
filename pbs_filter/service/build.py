"""A configuration becomes a filter here (edge: it looks up accounts and grammar files)."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterable

from ..authorisation.correlator import Correlator
from ..authorisation.countries import Countries
from ..authorisation.groups import Group, Terms
from ..authorisation.ledger import Ledger
from ..authorisation.pipeline import Pipeline
from ..authorisation.policy import Policy
from ..config.files import read_list
from ..config.options import DAY, Config
from ..config.tables import SiteServer
from ..errors import ConfigError
from ..grammar.matcher import Matcher
from ..grammar.rules import Server, own_logs_of
from ..syslog.records import reader
from ..text import nearest
from . import geoip
from .local_networks import COMMAND_SECONDS, LocalNetworks
from .shipped_servers import shipped

SHARED_ACCOUNTS = frozenset({"www-data", "nobody", "daemon", "mail", "www", "apache", "http"})
"""Accounts of many programs, PHP scripts among them: only `trusted_accounts` lets them speak."""
AS_USER = "=user"
"""In trusted_accounts: the account of the user whose login the line tells of."""


def servers_of(config: Config) -> tuple[Server, ...]:
    """Return the servers whose lines are read: the ones asked for, and the site's own.

    Raises:
        ConfigError: a name is unknown.
        GrammarError: a site's server breaks the contract.
    """
    known = {server.name: server for server in shipped()}
    chosen = [*known.values()]
    if config.servers:
        chosen = [known[name] for name in config.servers if name in known]
    made = _with_own(config, chosen) if config.server else chosen
    names = known.keys() | {server.name for server in made}
    for key, wanted in (
        ("servers", config.servers),
        ("trusted_accounts", tuple(config.trusted_accounts)),
        ("programs", tuple(config.programs)),
    ):
        for name in wanted:
            if name not in names:
                raise ConfigError(
                    f"{config.sources[key]}: {key}: unknown server {name!r}.{nearest(name, names)} "
                    f"Known: {', '.join(sorted(names))}"
                )
    return tuple(made)


def _with_own(config: Config, made: list[Server]) -> list[Server]:
    """Return the servers with the site's own behind them.

    Raises:
        ConfigError, GrammarError: one of those cannot be read.
    """
    from ..site_servers import python_file
    from ..site_servers import table as site

    for table in config.server:
        if not table.python:
            made.append(site.server(table, made, reader(own_logs_of(made))))
            continue
        if table != SiteServer(python=table.python):
            raise ConfigError(
                f"{config.sources['server']}: [[server]]: python = {table.python!r} stands alone; "
                "take the other keys away, or write them in a table without python"
            )
        server = python_file.load(table.python)
        made.append(site.checked(server, made, reader(own_logs_of((*made, server)))))
    return made


def trusted_uids(config: Config, servers: Iterable[Server]) -> dict[str, frozenset[int]]:
    """For each server the uids that may write its lines beside root.

    The accounts of its file count where the configuration names the server, but not those that
    others share. The ones that this machine does not have are passed over; those of the
    configuration must exist.

    Raises:
        ConfigError: an account does not exist.
    """
    uids: dict[str, frozenset[int]] = {}
    for server in servers:
        found = set()
        for account in server.accounts if server.name in config.servers else ():
            if account in SHARED_ACCOUNTS:
                continue
            try:
                found.add(pwd.getpwnam(account).pw_uid)
            except KeyError:
                continue  # not on this machine, or AS_USER
        for name in config.trusted_accounts.get(server.name, ()):
            if isinstance(name, int):
                found.add(name)
                continue
            if name == AS_USER:
                continue
            try:
                found.add(pwd.getpwnam(name).pw_uid)
            except KeyError:
                raise ConfigError(
                    f"{config.sources['trusted_accounts']}: trusted_accounts.{server.name}: "
                    f"this machine has no account {name!r}; write its uid as a number if it is "
                    "another machine's"
                ) from None
        uids[server.name] = frozenset(found)
    return uids


def uid_of(user: str) -> int | None:
    """Return the uid of this machine's account `user`, None where there is none."""
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        return None


def ask_networks(config: Config, say: Callable[[str], None]) -> tuple[str, ...]:
    """Wait for `local_networks_command`, and return its networks; trouble with it is said."""
    networks = LocalNetworks(say)
    networks.start(config.local_networks_command)
    networks.wait(seconds=COMMAND_SECONDS + 1)
    return networks.answer


def users_of(items: Iterable[str], where: str) -> list[str]:
    """Return the users of a list, with those of the files that it names; `where` is for messages.

    Raises:
        ConfigError: a file cannot be read, or somebody else could have written it.
    """
    users: list[str] = []
    for item in items:
        try:
            users += read_list(item) if item.startswith("/") else [item]
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return users


def groups_of(config: Config) -> list[Group]:
    """Return the groups of the configuration.

    Raises:
        ConfigError: a group has neither users nor networks, or a file of users cannot be read.
    """
    groups = []
    for each in config.groups:
        where = f"{config.sources['groups']}: [[groups]] {each.name!r}"
        if not (each.users or each.networks):
            raise ConfigError(f"{where}: write users, networks, or both")
        longest = each.max_session_seconds
        terms = Terms(
            each.grace_seconds or config.grace_seconds,
            config.max_session_seconds if longest is None else longest,
        )
        users = users_of(each.users, where) if each.users else None
        groups.append(Group(each.name, users, each.networks or None, terms, each.require_tls))
    return groups


def borders_of(
    config: Config, policy: Policy, countries: Countries, say: Callable[[str], None]
) -> None:
    """Let `policy` ask `countries`, and these the database as it is now, where the site has one.

    Raises:
        ConfigError: the database, or the library that reads it, cannot be used.
    """
    if config.geoip_database:
        countries.country_of = geoip.country_of(config.geoip_database, say)
    countries.home = frozenset(country.upper() for country in config.geoip_countries)
    seconds = config.geoip_days * DAY
    countries.seconds = seconds if config.geoip_database else 0
    policy.countries = countries if config.geoip_database else None


def policy_of(config: Config, servers: Iterable[Server], networks: Iterable[str]) -> Policy:
    """Return the policy, with the machine's accounts as they are now, and without `borders_of`.

    `networks` are the answer of `local_networks_command`.
    """
    return Policy.of(
        local_networks=(*config.local_networks, *networks),
        proxy_networks=config.proxy_networks,
        deny_networks=config.deny_networks,
        trusted_hosts=config.trusted_hosts,
        allow_networks=config.allow_networks,
        deny_users=users_of(config.deny_users, f"{config.sources['deny_users']}: deny_users"),
        allow_users=users_of(config.allow_users, f"{config.sources['allow_users']}: allow_users")
        if config.allow_users
        else None,
        groups=groups_of(config),
        trusted_uids=trusted_uids(config, servers),
        require_vouched=config.require_vouched,
        require_tls=config.require_tls,
        uid_of=uid_of,
        writes_as_user=[server.name for server in servers if AS_USER in server.accounts],
        speaks_as_user=[
            server for server, names in config.trusted_accounts.items() if AS_USER in names
        ],
        named=[*config.servers, *(server.name for server in servers if server not in shipped())],
    )


def pipeline_of(
    config: Config, say: Callable[[str], None], networks: Iterable[str] | None = None
) -> Pipeline:
    """Return the filter for `config`; `say` takes what the operator should know.

    `networks` are the answer of `local_networks_command`; None: it is run, and waited for.

    Raises:
        ConfigError, GrammarError: it cannot be made.
    """
    servers = servers_of(config)
    if networks is None:
        networks = ask_networks(config, say)
    policy = policy_of(config, servers, networks)
    ledger = Ledger(
        grace_seconds=config.grace_seconds,
        max_session_seconds=config.max_session_seconds,
        max_addresses=config.max_addresses,
        max_addresses_per_user=config.max_addresses_per_user,
        max_sessions=config.max_addresses if config.holds else 0,
        shortest_grace_seconds=min(
            (group.terms.grace_seconds for group in policy.groups), default=0
        ),
    )
    pipeline = Pipeline(
        matcher=Matcher(servers, programs=config.programs, enable=config.enable),
        policy=policy,
        ledger=ledger,
        correlator=Correlator(
            ledger,
            patience_seconds=config.patience_seconds,
            max_pending=config.max_pending_sessions,
        ),
        ipv6_prefix=config.ipv6_prefix,
    )
    borders_of(config, policy, pipeline.state.countries, say)
    return pipeline
