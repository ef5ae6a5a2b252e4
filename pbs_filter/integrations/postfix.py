"""Postfix asks: where main.cf has to ask, the service in master.cf, what closes its relay. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..addresses import parse_mynetworks
from ..text import counted
from . import postfix_ports
from .finding import Finding, ok, wrong
from .integration import Mta, Shipped
from .lookups import LookupConfig, does_not_ask
from .machine import Machine
from .plan import ACCOUNT, LOOKUP_ACCOUNT, Change, Check, Plan, edited, swapped, swaps_of
from .postfix_ports import CLOSES, LIST, OVERRIDES, RECIPIENT, RELAY, SERVICES
from .rsyslog import PROFILE

SHIPPED = ("examples/postfix/main.cf", "examples/postfix/master.cf")
MAIN = "/etc/postfix/main.cf"
MASTER = "/etc/postfix/master.cf"
FILES = (MAIN, MASTER)
MYNETWORKS = "postconf -hx mynetworks"
QUEUE = "postconf -h queue_directory"
README = "examples/postfix/README.md"
"""It tells of the ports."""
_WORD = re.compile(r"[^\s,]+")
LOOPBACK = ("127.0.0.0/8", "::1/128")


class NotSafe(Exception):
    """A file that a person must edit; says why."""


def settings_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each setting of a main.cf: name, and where its logical line begins and ends.

    postconf(5): a line that begins with white space goes on with the one before; comments and empty
    lines between them count for nothing.
    """
    name, begin, end, at = "", 0, 0, 0
    for line in text.splitlines(keepends=True):
        here, at = at, at + len(line)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] not in " \t":
            if name:
                yield name, begin, end
            name, begin = line.partition("=")[0].strip(), here
        end = at
    if name:
        yield name, begin, end


def _words(text: str, begin: int, end: int) -> list[tuple[int, str]]:
    """Return the words of a setting's value, and where they stand."""
    words = []
    at = begin
    for line in text[begin:end].splitlines(keepends=True):
        start = line.find("=") + 1 if at == begin else 0
        if not line.lstrip().startswith("#"):
            words += [(at + word.start(), word[0]) for word in _WORD.finditer(line, start)]
        at += len(line)
    return words


def check_of(shipped_main: str) -> str:
    """Return the restriction that asks, as the shipped main.cf has it."""
    match = re.search(r"check_client_access \S+(?=,)", shipped_main)
    assert match is not None, "the shipped main.cf asks"
    return match[0]


def with_check(main: str, shipped_main: str) -> str:
    """main.cf that asks the map before it refuses to relay.

    Raises:
        NotSafe: its restrictions are such that a person must decide.
    """
    check = check_of(shipped_main)
    there = [(begin, end) for name, begin, end in settings_of(main) if name == LIST]
    names = {name for name, _, _ in settings_of(main)}
    timing = shipped_main[shipped_main.index("# How long") :]
    if not there:
        return _ended(main) + "\n" + shipped_main
    if len(there) > 1:
        raise NotSafe(f"it has {LIST} {counted(len(there), 'time')}")
    words = _words(main, *there[0])
    plain = [word for _, word in words]
    if check.split()[1] not in plain:
        main = _inserted(main, words, check)
    if "pbs_time_limit" not in names:
        main = _ended(main) + "\n" + timing
    return main


def _inserted(main: str, words: list[tuple[int, str]], check: str) -> str:
    odd = [word for _, word in words if word[0] in "{$" or word[-1] == "}"]
    if odd:
        raise NotSafe(f"{LIST} has {odd[0]!r} in it")
    at = next((at for at, word in words if word in CLOSES), None)
    if at is None:
        raise NotSafe(f"{LIST} has none of {', '.join(CLOSES)}: it may relay for everybody")
    before = [word for where, word in words if where < at]
    if "permit" in before:
        raise NotSafe(f"{LIST} has permit before it refuses: it relays for everybody")
    new = [] if "permit_auth_destination" in before else ["permit_auth_destination"]
    behind = [word for where, word in words if where > at and word != "permit"]
    if new and behind:
        raise NotSafe(f"{LIST} has {behind[0]} at its end, which mail for you would then skip")
    indent = main[main.rfind("\n", 0, at) + 1 : at]
    space = "\n" + indent if indent and not indent.strip() else " "
    return main[:at] + "".join(f"{item},{space}" for item in [*new, check]) + main[at:]


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def chrooted(machine: Machine) -> bool:
    """Return whether the smtpd of port 25 runs in a chroot, by its line in master.cf."""
    line = re.search(
        r"(?m)^(?:smtp|25)[ \t]+inet(?:[ \t]+\S+){2}[ \t]+(\S+)", machine.files.get(MASTER, "")
    )
    return line is not None and line[1] == "y"


def open_networks(mynetworks: str) -> list[str]:
    """Return the networks of `mynetworks` that strangers are in: wider than any site's."""
    networks, _ = parse_mynetworks(mynetworks)
    wide = []
    for item in networks:
        address, _, length = item.partition("/")
        least = 16 if ":" in address else 8
        if length and int(length) < least:
            wide.append(item)
    return wide


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the question's part of the plan."""
    manual_steps, notes = [], []
    changes: tuple[Change, ...] = ()
    main, master = machine.files.get(MAIN, ""), machine.files.get(MASTER, "")
    shipped_main, shipped_master = (swapped(shipped[n], swaps_of(machine)) for n in SHIPPED)
    check = check_of(shipped_main)
    ports = postfix_ports.ports(machine)
    asking, others = postfix_ports.told(ports)
    only_there = asking and not _question(machine.answers.get(RELAY, ""))
    if only_there:
        notes.append(f"{MAIN} is left as it is: Postfix asks at {asking}, and not at {others}")
    elif MAIN in machine.files:
        try:
            after = with_check(main, shipped_main)
            changes += edited(machine, MAIN, after, "Postfix asks before it refuses to relay")
        except NotSafe as why:
            manual_steps.append(
                f"{MAIN}: {why}. Put `{check}` into {LIST} yourself, behind "
                "permit_auth_destination and before reject_unauth_destination, and "
                "`pbs_time_limit = 3600` behind it"
            )
    else:
        manual_steps.append(
            f"{MAIN} is not there: {machine.share}/{SHIPPED[0]} has what belongs into it"
        )
    service = re.search(r"(?m)^pbs[ \t]+unix(?:.*\n)(?:[ \t]+.*\n?)*", master)
    if service is None:
        if MASTER in machine.files:
            after = _ended(master) + "\n" + shipped_master
            changes += edited(machine, MASTER, after, "Postfix starts pbs-lookup")
    elif machine.lookup not in service[0]:
        manual_steps.append(
            f"{MASTER} has a service `pbs` that does not run {machine.lookup}: compare it "
            f"with {machine.share}/{SHIPPED[1]}"
        )
    own = " and ".join(port.name for port in ports if port.own and not port.asks)
    if own and not only_there:
        notes.append(
            f"{own} in {MASTER}: restrictions of its own, by which Postfix does not ask there; "
            f"{machine.share}/{README} has what to put instead"
        )
    if _recipient_list_refuses(machine):
        manual_steps.append(
            "smtpd_recipient_restrictions refuses to relay, too, whatever the map says: take "
            "reject_unauth_destination (defer_unauth_destination) out of it; "
            f"{LIST} has it"
        )
    mynetworks = machine.answers.get(MYNETWORKS, "")
    wide = open_networks(mynetworks)
    if wide:
        manual_steps.append(f"OPEN RELAY: mynetworks has {', '.join(wide)}: strangers are in it")
    networks, skipped = parse_mynetworks(mynetworks)
    if skipped:
        notes.append(
            f"mynetworks has {', '.join(skipped)}, which pbs-filter does not read: list those "
            "networks in local_networks"
        )
    # Under AppArmor rsyslogd's child may not run it.
    settings: dict[str, object] = (
        {"local_networks": list(dict.fromkeys([*LOOPBACK, *networks]))}
        if PROFILE in machine.files
        else {"local_networks_command": MYNETWORKS}
    )
    return Plan(
        accounts=(ACCOUNT, LOOKUP_ACCOUNT),
        changes=changes,
        settings={"group": ACCOUNT, **settings},
        checks=(
            Check(argv=("postfix", "check")),
            *(
                (Check(argv=("postconf", "-h", LIST), contains=check),)
                if any(change.path == MAIN for change in changes)
                else ()
            ),
        ),
        restart_commands=("postfix reload",),
        try_commands=(
            f"runuser -u {LOOKUP_ACCOUNT} -- {machine.lookup} check --verbose 192.0.2.7",
            "postmap -q 192.0.2.7 socketmap:unix:/var/spool/postfix/private/pbs:pbs",
        ),
        manual_steps=tuple(manual_steps),
        notes=tuple(notes),
    )


def _recipient_list_refuses(machine: Machine) -> bool:
    words = re.split(r"[\s,]+", machine.answers.get(RECIPIENT, ""))
    return not {"reject_unauth_destination", "defer_unauth_destination"}.isdisjoint(words)


# ---------------------------------------------------------------------- for --doctor


def _question(restrictions: str) -> postfix_ports.Question | None:
    return postfix_ports.question(postfix_ports.words(restrictions))


def lookups(machine: Machine) -> LookupConfig | Finding:
    """Return where Postfix asks."""
    ports = postfix_ports.ports(machine)
    lists = (words for port in ports for words in (port.relay, port.recipient))
    found = next(filter(None, map(postfix_ports.question, lists)), None)
    if found is None:
        return does_not_ask("postfix", f"{LIST} names neither our socketmap nor our policy")
    kind, service = found
    path, _, name = service.partition("unix:")[2].partition(":")
    account = group = program = ""
    if path.startswith("private/"):
        here = path.rpartition("/")[2]
        entry = re.search(
            rf"(?m)^{re.escape(here)}\s+unix\s.*argv=\S*pbs-lookup",
            machine.answers.get(SERVICES, ""),
        )
        if entry is None:
            return does_not_ask("postfix", f"master.cf has no service {here} of ours")
        user = re.search(r"user=([^\s:]+):?(\S*)", entry[0])
        account, group = (user[1], user[2]) if user else ("", "")
        program = entry[0].rpartition("argv=")[2]
    return LookupConfig(
        mta="postfix",
        kind=kind,
        where=path if path.startswith("/") else f"{machine.answers.get(QUEUE, '')}/{path}",
        name=name,
        user=account,
        group=group,
        program=program,
        restart=("postfix reload || postfix start", "tail /var/log/mail.log"),
        not_asking=postfix_ports.told(ports)[1],
    )


def settings(machine: Machine) -> list[Finding]:
    """Return whether Postfix's settings are closed for strangers and open for those in the map."""
    findings = []
    wide = open_networks(machine.answers.get(MYNETWORKS, ""))
    if wide:
        findings.append(
            wrong(
                "relay",
                f"OPEN: mynetworks has {', '.join(wide)}: strangers are in it",
                "postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128'",
            )
        )
    findings += [
        wrong(
            "relay",
            f"OPEN: {LIST}{f' of {port.name} in {MASTER}' if port.own else ''} does not end with "
            "reject_unauth_destination",
            "pbs-filter --setup postfix",
        )
        for port in postfix_ports.ports(machine)
        if not port.closed
    ]
    if _recipient_list_refuses(machine):
        findings.append(
            wrong(
                "relay",
                "smtpd_recipient_restrictions refuses to relay, whatever the map says",
                "take reject_unauth_destination out of smtpd_recipient_restrictions",
            )
        )
    return findings


def facts(machine: Machine) -> list[tuple[str, str]]:
    """Return the rows about Postfix."""
    rows = []
    mynetworks = machine.answers.get(MYNETWORKS, "").split()
    if mynetworks:
        rows.append(("mynetworks", " ".join(mynetworks)))
    if chrooted(machine):
        rows.append(("smtpd", "in its chroot: it asks at a socket inside its queue directory"))
    asking, others = postfix_ports.told(postfix_ports.ports(machine))
    if asking:
        rows.append(("asks", f"at {asking}" + (f", not at {others}" if others else "")))
    return rows


INTEGRATION = Mta(
    name="postfix",
    package="postfix",
    plan=plan,
    version_command=("postconf", "-h", "mail_version"),
    version_pattern=r"(?m)^([0-9][\w.-]*)$",
    executables=("postfix/sbin/master",),
    shipped=SHIPPED,
    files=FILES,
    commands=tuple(
        tuple(command.split())
        for command in (MYNETWORKS, RELAY, RECIPIENT, SERVICES, OVERRIDES, QUEUE)
    ),
    facts=facts,
    lookups=lookups,
    settings=settings,
    trusted=lambda machine: machine.answers.get(MYNETWORKS, ""),
    untried=ok(
        "relay",
        f"closed by Postfix's settings: mynetworks and {LIST}. Not tried by SMTP: Postfix trusts "
        "each address of this machine, or does not listen there",
    ),
)
