"""The policy has the operator's decisions: who is never authorised, whose word counts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ..addresses import Networks, special
from ..grammar.carriage import Carriage
from ..grammar.rules import Rule, Server
from ..grammar.tls import can_say, tls_of
from ..model import Accepted, Connected, Ended, Observation, Reason, Record
from .countries import Countries
from .groups import Group, Terms
from .user_names import UserPatterns


@dataclass(slots=True, kw_only=True)
class Policy:
    """The operator's networks, users and trusted senders.

    `trusted_uids` maps a server's name to the uids that may write its lines; a server that is not
    named has no uid but root's.
    """

    local_networks: Networks
    proxy_networks: Networks
    deny_networks: Networks
    trusted_hosts: Networks
    allow_networks: Networks | None = None
    """The only networks that may be authorised; None: all."""
    deny_users: UserPatterns = field(default_factory=lambda: UserPatterns(()))
    groups: tuple[Group, ...] = ()
    """The first that has a user and an address tells how long the login counts."""
    allow_users: UserPatterns | None = None
    """The only users whose logins may authorise; None: all."""
    trusted_uids: Mapping[str, frozenset[int]] = field(default_factory=dict)
    require_vouched: bool = False
    require_tls: bool = False
    """Only logins by TLS may authorise; a group may say otherwise."""
    countries: Countries | None = None
    """From where each user has come; None: that does not matter."""
    uid_of: Callable[[str], int | None] | None = None
    """The uid of a user's account, None where there is none: the machine's, told by the edge."""
    writes_as_user: frozenset[str] = frozenset()
    """Servers that write as the user who logged in (after setuid). Of his uid count a login whose
    address stands in an earlier line (which only the server could write), and the end of a session
    in which he logged in."""
    speaks_as_user: frozenset[str] = frozenset()
    """Those of them whose word also counts for a login with its address, if its uid is the
    user's: that is the operator's choice, since a local user can then name any address."""
    named: frozenset[str] = frozenset()
    """Servers that the configuration names: their lines count even where a piece of a longer line
    cannot be told from a line."""
    _by_reason: tuple[tuple[Networks, Reason], ...] = field(init=False)
    """The first that holds an address says why it is refused."""
    _refused: Networks = field(init=False)
    """All of them in one: most addresses are in none."""
    asks_for_tls: bool = field(init=False)
    """Whether there is a login that must be by TLS."""
    refused_octets: Collection[str] = field(init=False)
    """What IPv4 addresses begin with if `refuses` has to be asked; it may be in the other cases."""
    weighs: bool = field(init=False)
    """Whether `refuses` has to be asked of every login."""

    def __post_init__(self) -> None:
        self._by_reason = (
            (special(), Reason.SPECIAL_ADDRESS),
            (self.deny_networks, Reason.DENIED_NETWORK),
            (self.proxy_networks, Reason.PROXY),
            (self.local_networks, Reason.LOCAL_NETWORK),
        )
        self.asks_for_tls = self.require_tls or any(group.require_tls for group in self.groups)
        self._refused = Networks(item for networks, _ in self._by_reason for item in networks.items)
        self.refused_octets = self._refused.octets
        self.weighs = bool(
            self.allow_networks is not None
            or self.allow_users is not None
            or self.deny_users.items
            or self.asks_for_tls
        )

    @classmethod
    def of(
        cls,
        *,
        local_networks: Iterable[str] = (),
        proxy_networks: Iterable[str] = (),
        deny_networks: Iterable[str] = (),
        trusted_hosts: Iterable[str] = (),
        allow_networks: Iterable[str] = (),
        deny_users: Iterable[str] = (),
        allow_users: Iterable[str] | None = None,
        groups: Iterable[Group] = (),
        trusted_uids: Mapping[str, frozenset[int]] | None = None,
        require_vouched: bool = False,
        require_tls: bool = False,
        uid_of: Callable[[str], int | None] | None = None,
        writes_as_user: Iterable[str] = (),
        speaks_as_user: Iterable[str] = (),
        named: Iterable[str] = (),
    ) -> Policy:
        """Return a policy from texts.

        Raises:
            ConfigError: a network is not one.
        """
        return cls(
            local_networks=Networks(local_networks),
            proxy_networks=Networks(proxy_networks),
            deny_networks=Networks(deny_networks),
            trusted_hosts=Networks(trusted_hosts),
            allow_networks=Networks(allow_networks) if allow_networks else None,
            deny_users=UserPatterns(deny_users),
            allow_users=None if allow_users is None else UserPatterns(allow_users, exact=True),
            groups=tuple(groups),
            trusted_uids=trusted_uids or {},
            require_vouched=require_vouched,
            require_tls=require_tls,
            uid_of=uid_of,
            writes_as_user=frozenset(writes_as_user) | frozenset(speaks_as_user),
            speaks_as_user=frozenset(speaks_as_user),
            named=frozenset(named),
        )

    def group_of(self, user: str, address: str) -> Group | None:
        """Return the group that decides for a login; None: no group has it."""
        return next((group for group in self.groups if group.has(user, address)), None)

    def terms(self, user: str, address: str) -> Terms | None:
        """Return how long a login of `user` from `address` counts; None: as long as most."""
        group = self.group_of(user, address) if self.groups else None
        return None if group is None else group.terms

    def distrusts(
        self, record: Record, server: str, observation: Observation, holder: str | None = None
    ) -> Reason | None:
        """Return why the sender of `record` may not say `observation` for `server`; None: it may.

        The kernel's uid is the only proof there is (exe, cmdline and the message's own pid are
        not); over the network it is the peer's address. `holder` is the user who logged in, if the
        observation ends his session.
        """
        if record.peer:
            return None if self.trusted_hosts.find(record.peer) else Reason.UNTRUSTED_HOST
        uid = record.uid
        if uid is not None:
            if uid == 0 or uid in self.trusted_uids.get(server, ()):
                return None
            return None if self._as_user(uid, server, observation, holder) else Reason.FORGED
        return Reason.NOT_VOUCHED if self.require_vouched else None

    def _as_user(self, uid: int, server: str, observation: Observation, holder: str | None) -> bool:
        if server not in self.writes_as_user or isinstance(observation, Connected):
            return False
        if isinstance(observation, Accepted):
            if observation.address is not None and server not in self.speaks_as_user:
                return False
            holder = observation.user
        elif not isinstance(observation, Ended):
            return getattr(observation, "session", None) is None
        return holder is not None and self.uid_of is not None and self.uid_of(holder) == uid

    def may_speak(self, record: Record) -> bool:
        """Return whether the sender of `record` is trusted for some server."""
        if record.peer:
            return self.trusted_hosts.find(record.peer) is not None
        uid = record.uid
        return not uid or any(uid in uids for uids in self.trusted_uids.values())

    def cannot_tell(self, record: Record, server: str, carriage: Carriage) -> str:
        """Return why a line of `server`, which travels by `carriage`, may be a piece of another, as
        far as this feed shows; empty: it shows enough, or the configuration names the server.
        """
        if carriage.is_whole or server in self.named:
            return ""
        # Nobody knows how many lines a client's line breaks made, if a name may have any length.
        endless = carriage.line_breaks and not carriage.longest_bytes
        return carriage.cure if carriage.off or endless or record.exact is False else ""

    def pieces_note(self, server: Server) -> str:
        """Return a note on lines of `server` that come in pieces; empty: nothing."""
        for way in (server.carriage, *server.carriages.values()):
            if way.line_breaks and (way.longest_bytes or server.name in self.named):
                return f"its own log is read; {way.cure}"
            if not way.is_whole and server.name in self.named:
                return f"read although a piece of a line can look like a login; {way.cure}"
            if way.off or way.line_breaks:
                return f"not read unless servers names it: {way.cure}"
            if way.shows_pieces:
                return f"read where the feed shows pieces of lines (a socket); else: {way.cure}"
        return ""

    def tls_note(self, server: Server) -> str:
        """Return a note on `server` where TLS is required; empty: nothing."""
        if not self.asks_for_tls or can_say(server):
            return ""
        return (
            "its lines cannot say whether there was TLS: where require_tls holds, its logins "
            "authorise nobody (unless its program is called imaps, pop3s, or the like)"
        )

    @property
    def lists(self) -> tuple[object, ...]:
        """The lists of `excludes_user` and `excludes_address`, to be compared."""
        denied = self.deny_users, self.deny_networks, self.proxy_networks
        allowed = self.allow_users, self.allow_networks
        return tuple(None if each is None else each.items for each in (*denied, *allowed))

    def excludes_user(self, user: str) -> bool:
        """Return whether no login of `user` counts, wherever from."""
        return self._refuses_user(user) is not None

    def excludes_address(self, address: str) -> bool:
        """Return whether the site keeps `address`, or a network of `ipv6_prefix`, out."""
        first = address.partition("/")[0]
        if self.deny_networks.find(first) or self.proxy_networks.find(first):
            return True
        return self.allow_networks is not None and self.allow_networks.find(first) is None

    def _refuses_user(self, user: str) -> tuple[Reason, str] | None:
        if self.deny_users.items:
            item = self.deny_users.find(user)
            if item is not None:
                return Reason.DENIED_USER, item
        if self.allow_users is not None and self.allow_users.find(user) is None:
            return Reason.NOT_AN_ALLOWED_USER, user
        return None

    def _lacks_tls(
        self, address: str, user: str, rule: Rule, record: Record
    ) -> tuple[Reason, str] | None:
        group = self.group_of(user, address)
        is_of_group = group is not None and group.require_tls is not None
        if not (group.require_tls if group and is_of_group else self.require_tls):
            return None
        said = tls_of(rule, record)
        if said:
            return None
        why = "the line cannot say" if said is None else "the line says that there was none"
        return Reason.WITHOUT_TLS, f"{why}; group {group.name}" if group and is_of_group else why

    def refuses(
        self,
        address: str,
        user: str,
        local: str | None,
        rule: Rule | None = None,
        record: Record | None = None,
        at: int = 0,
    ) -> tuple[Reason, str] | None:
        """Return why `user` at canonical `address` is never authorised, and the network or name
        that says so; `local` is the server's own address where the line has it, `rule` has read
        `record`, and `at` is the time of the login. What is not refused teaches a country.
        """
        if self._refused.find(address) is not None:
            return next(
                (reason, name)
                for networks, reason in self._by_reason
                if (name := networks.find(address)) is not None
            )
        if address == local:
            return Reason.OWN_ADDRESS, address
        if self.allow_networks is not None and self.allow_networks.find(address) is None:
            return Reason.NOT_AN_ALLOWED_NETWORK, address
        refusal = self._refuses_user(user)
        if refusal is not None:
            return refusal
        if self.asks_for_tls and rule is not None and record is not None:
            refusal = self._lacks_tls(address, user, rule, record)
            if refusal is not None:
                return refusal
        if self.countries is not None:
            return self.countries.refuses(user, address, at)
        return None
