"""The question of the other MTAs: one function each. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..addresses import parse_mynetworks
from . import postfix
from .machine import Machine, version
from .plan import (
    ACCOUNT,
    LOOKUP_ACCOUNT,
    Change,
    Check,
    Plan,
    copy,
    edited,
    joined,
    swapped,
    swaps_of,
)
from .postfix import LOOPBACK

EXIM = "/etc/exim4"
EXIM_OWN = f"{EXIM}/exim4.conf"
EXIM_DEBCONF = f"{EXIM}/update-exim4.conf.conf"
EXIM_SPLIT = f"{EXIM}/conf.d/acl/30_exim4-config_check_rcpt"
EXIM_WHOLE = f"{EXIM}/exim4.conf.template"
EXIM_INCLUDE = f"  .include {EXIM}/pbs-filter.acl\n"
EXIM_REFUSES = "  require\n    message = relay not permitted\n"
SENDMAIL = "/etc/mail/sendmail.mc"
SENDMAIL_INCLUDE = "include(`/etc/mail/pbs-filter.m4')dnl\n"
SENDMAIL_CHECK = (
    't=$(mktemp) && m4 /etc/mail/sendmail.mc >"$t" && echo | sendmail -bt -C "$t"; '
    's=$?; rm -f "$t"; exit $s'
)
OPENSMTPD = "/etc/smtpd.conf"
COURIER = "/etc/courier/esmtpd"
UNITS = "/etc/systemd/system"

SHIPPED = (
    "examples/exim/pbs-filter.acl",
    "examples/sendmail/pbs-filter.m4",
    "examples/opensmtpd/table-pbs",
    "examples/opensmtpd/smtpd.conf",
    "examples/courier/esmtpd",
    "examples/qmail/run",
    "examples/systemd/pbs-lookup.service",
    "examples/systemd/pbs-lookup.socket",
)
FILES = (
    EXIM_OWN,
    EXIM_DEBCONF,
    EXIM_SPLIT,
    EXIM_WHOLE,
    f"{EXIM}/pbs-filter.acl",
    SENDMAIL,
    "/etc/mail/pbs-filter.m4",
    OPENSMTPD,
    "/usr/libexec/opensmtpd/table-pbs",
    COURIER,
    f"{UNITS}/pbs-lookup.service",
    f"{UNITS}/pbs-lookup.socket",
)


def _service(machine: Machine, shipped: Mapping[str, str], group: str) -> Plan:
    """`pbs-lookup serve` for an MTA of this group, by systemd's socket unit."""
    if not machine.systemd:
        return Plan(
            accounts=(ACCOUNT, LOOKUP_ACCOUNT),
            left=(
                "start this at boot, before the MTA: mkdir -p -m 0755 /run/pbs-lookup; "
                f"{machine.lookup} serve --user={LOOKUP_ACCOUNT} --group={group} "
                f"--map={machine.map} --socketmap=unix:/run/pbs-lookup/socketmap",
            ),
        )
    why = "pbs-lookup answers at a socket"
    return Plan(
        accounts=(ACCOUNT,),
        changes=(
            *copy(
                machine,
                shipped,
                f"{UNITS}/pbs-lookup.service",
                "examples/systemd/pbs-lookup.service",
                why=why,
            ),
            *copy(
                machine,
                shipped,
                f"{UNITS}/pbs-lookup.socket",
                "examples/systemd/pbs-lookup.socket",
                why=why,
                swaps=(("SocketGroup=postfix", f"SocketGroup={group}"),),
            ),
        ),
        then=("systemctl daemon-reload", "systemctl enable --now pbs-lookup.socket"),
    )


def exim(machine: Machine, shipped: Mapping[str, str]) -> Plan:
    """Exim with Debian's configuration; another one is left to the person."""
    left: tuple[str, ...] = ()
    changes = copy(
        machine,
        shipped,
        f"{EXIM}/pbs-filter.acl",
        "examples/exim/pbs-filter.acl",
        why="Exim asks, for recipients elsewhere",
    )
    debconf = machine.files.get(EXIM_DEBCONF)
    split = debconf is not None and re.search(r"(?m)^dc_use_split_config='true'", debconf)
    path = EXIM_SPLIT if split else EXIM_WHOLE
    text = machine.files.get(path, "")
    if debconf is None or EXIM_OWN in machine.files or text.count(EXIM_REFUSES) != 1:
        if EXIM_INCLUDE.strip() not in text:
            left = (
                "this is not Debian's Exim configuration, or its acl_check_rcpt was changed: put "
                f"`{EXIM_INCLUDE.strip()}` into the ACL of acl_smtp_rcpt, behind what accepts your "
                "own networks and before what refuses relaying",
            )
    elif EXIM_INCLUDE not in text:
        after = text.replace(EXIM_REFUSES, EXIM_INCLUDE + "\n" + EXIM_REFUSES)
        changes += edited(machine, path, after, "Exim asks before it refuses to relay")
    relay = re.search(r"(?m)^dc_relay_nets='([^']*)'", debconf or "")
    networks, skipped = parse_mynetworks(re.sub(" : |;", " ", relay[1]) if relay else "")
    asks = Plan(
        changes=changes,
        settings={
            "group": ACCOUNT,
            "local_networks": list(dict.fromkeys([*LOOPBACK, *networks])),
        },
        checks=(Check(argv=("update-exim4.conf", "--check")),) if debconf else (),
        then=("update-exim4.conf", machine.restart("exim4", "reload")),
        see=("exim4 -bh 192.0.2.7",),
        left=left,
        notes=(
            (f"dc_relay_nets has {', '.join(skipped)}: put those networks into local_networks",)
            if skipped
            else ()
        ),
    )
    return joined(asks, _service(machine, shipped, "Debian-exim"))


def sendmail(machine: Machine, shipped: Mapping[str, str]) -> Plan:
    """Sendmail with a sendmail.mc."""
    left: tuple[str, ...] = ()
    changes = copy(
        machine,
        shipped,
        "/etc/mail/pbs-filter.m4",
        "examples/sendmail/pbs-filter.m4",
        why="sendmail asks, for recipients elsewhere",
    )
    text = machine.files.get(SENDMAIL)
    if text is None or "Local_check_rcpt" in text:
        left = (
            f"{SENDMAIL} has a Local_check_rcpt of its own, or is not there: put the rules of "
            f"{machine.share}/examples/sendmail/pbs-filter.m4 at the end of yours",
        )
    elif SENDMAIL_INCLUDE not in text:
        after = text + ("" if text.endswith("\n") else "\n") + SENDMAIL_INCLUDE
        changes += edited(machine, SENDMAIL, after, "sendmail asks before it refuses to relay")
    asks = Plan(
        changes=changes,
        settings={"group": ACCOUNT},
        checks=(Check(argv=("sh", "-c", SENDMAIL_CHECK)),),
        then=("make -C /etc/mail", machine.restart("sendmail", "reload")),
        see=(
            r"printf '.D{client_addr}192.0.2.7\nLocal_check_rcpt you@elsewhere.example\n' "
            "| sendmail -bt",
        ),
        left=(*left, _relays("the access map and relay-domains")),
    )
    return joined(asks, _service(machine, shipped, "smmta"))


def _relays(where: str) -> str:
    return f"put the networks that {where} let relay anyway into local_networks, if there are any"


def opensmtpd(machine: Machine, shipped: Mapping[str, str]) -> Plan:
    """OpenSMTPD 7.5 and newer by a table program; an older one is left to the person."""
    number = machine.versions.get("opensmtpd", "")
    settings = {"group": "opensmtpd"}
    if number and version(number) < (7, 5):
        place = f"{machine.share}/examples/opensmtpd"
        return Plan(
            accounts=(ACCOUNT,),
            settings=settings,
            left=(
                f"OpenSMTPD {number} knows no table programs. With opensmtpd-extras: the "
                f"[[export]] of {place}/README.md at the end of /etc/pbs-filter.toml, "
                f"{place}/pbs-sqlite.conf to /etc/, and the lines of {place}/smtpd-6.8.conf into "
                f"{OPENSMTPD}",
            ),
        )
    changes = copy(
        machine,
        shipped,
        "/usr/libexec/opensmtpd/table-pbs",
        "examples/opensmtpd/table-pbs",
        why="smtpd starts pbs-lookup",
        mode=0o755,
    )
    lines = swapped(shipped["examples/opensmtpd/smtpd.conf"], swaps_of(machine))
    text = machine.files.get(OPENSMTPD, "")
    plain = re.sub(r"(?m)#.*$", "", text)
    relays = re.findall(r'(?m)^\s*action\s+"?([\w-]+)"?\s+relay\b', plain)
    left: tuple[str, ...] = ()
    if not re.search(r"(?m)^\s*table\s+pbs\b", plain):
        if len(relays) == 1 and not re.search(r"\bfrom\s+any\s+for\s+any\b", plain):
            after = text.rstrip("\n") + "\n\n" + lines.replace('"relay"', f'"{relays[0]}"')
            changes += edited(machine, OPENSMTPD, after, "smtpd asks behind all other rules")
        else:
            left = (
                f"{OPENSMTPD} has {len(relays)} relay actions, or a rule for everybody: put the "
                f"two lines of {machine.share}/examples/opensmtpd/smtpd.conf behind the rules for "
                "your own domains",
            )
    return Plan(
        accounts=(ACCOUNT,),
        changes=changes,
        settings=settings,
        checks=(Check(argv=("smtpd", "-n")),),
        then=(machine.restart("opensmtpd"),),
        left=(*left, _relays(f"{OPENSMTPD}'s other rules")),
    )


def courier(machine: Machine, shipped: Mapping[str, str]) -> Plan:
    """Courier: relaylock between couriertcpd and courieresmtpd."""
    left: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    text = machine.files.get(COURIER)
    ports = re.findall(r'(?m)^PORT="?([^"\n]*)"?$', text or "")
    if text is None or ports[-1:] not in (["smtp"], ["25"]):
        if "relaylock" not in "".join(ports):
            left = (
                f"{COURIER} is not there, or its PORT is not smtp: put the PORT line of "
                f"{machine.share}/examples/courier/esmtpd at its end, with your port",
            )
    else:
        lines = swapped(shipped["examples/courier/esmtpd"], swaps_of(machine))
        option = "" if machine.map == "/var/lib/pbs-filter/map.gdbm" else f" --map={machine.map}"
        lines = lines.replace(" relaylock", f" relaylock{option}")
        after = text + ("" if text.endswith("\n") else "\n") + "\n" + lines
        changes = edited(machine, COURIER, after, "relaylock asks at each connection")
    return Plan(
        accounts=(ACCOUNT,),
        changes=changes,
        settings={"group": "courier"},
        checks=(Check(argv=("sh", "-n", COURIER)),) if text is not None else (),
        then=(machine.restart("courier-mta"),),
        left=(*left, _relays("/etc/courier/smtpaccess")),
    )


def qmail(machine: Machine, shipped: Mapping[str, str]) -> Plan:
    """Qmail and the like: everybody's run file is another, so it is left to the person."""
    line = next(
        row.strip() for row in shipped["examples/qmail/run"].splitlines() if "relaylock --" in row
    )
    line = swapped(line.rstrip("\\").strip(), swaps_of(machine))
    return Plan(
        accounts=(ACCOUNT,),
        settings={"group": ACCOUNT},
        left=(
            f"in the SMTP service's run file put `{line}` in front of the SMTP server's program, "
            f'and `-g "$(id -g {ACCOUNT})"` behind tcpserver; an example is '
            f"{machine.share}/examples/qmail/run",
            _relays("/etc/tcp.smtp"),
        ),
    )


PLANS: dict[str, Callable[[Machine, Mapping[str, str]], Plan]] = {
    "postfix": postfix.plan,
    "exim": exim,
    "sendmail": sendmail,
    "opensmtpd": opensmtpd,
    "courier": courier,
    "qmail": qmail,
}
