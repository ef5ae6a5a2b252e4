"""sendmail asks: by a socket map in Local_check_rcpt. Pure."""

from __future__ import annotations

import re

from . import lookup_unit
from .finding import Finding, note, ok, wrong
from .integration import Mta, Session, Shipped
from .lookups import SOMEBODY, STRANGER, LookupConfig, does_not_ask
from .machine import Machine
from .plan import ACCOUNT, Check, Plan, copy, edited, joined

MAIN = "/etc/mail/sendmail.mc"
MADE = "/etc/mail/sendmail.cf"
RULES = "/etc/mail/pbs-filter.m4"
SOURCE = "examples/sendmail/pbs-filter.m4"
INCLUDE = f"include(`{RULES}')dnl\n"
CHECK = (
    't=$(mktemp) && m4 /etc/mail/sendmail.mc >"$t" && echo | sendmail -bt -C "$t"; '
    's=$?; rm -f "$t"; exit $s'
)


def plan(machine: Machine, shipped: Shipped) -> Plan:
    """Return the plan for a sendmail with a sendmail.mc."""
    manual_steps: tuple[str, ...] = ()
    changes = copy(machine, shipped, RULES, SOURCE, why="sendmail asks, for recipients elsewhere")
    text = machine.files.get(MAIN)
    if text is None or "Local_check_rcpt" in text:
        manual_steps = (
            f"{MAIN} has a Local_check_rcpt of its own, or is not there: put the rules of "
            f"{machine.share}/{SOURCE} at the end of yours",
        )
    elif INCLUDE not in text:
        after = text + ("" if text.endswith("\n") else "\n") + INCLUDE
        changes += edited(machine, MAIN, after, "sendmail asks before it refuses to relay")
    hint = ""
    if "." not in machine.host:
        hint = (
            f"this host is called {machine.host!r}, without a domain: sendmail waits a minute for "
            f"one at each start. Put the full name first into /etc/hosts: 127.0.1.1 "
            f"{machine.host}.example.org {machine.host}"
        )
    asks = Plan(
        changes=changes,
        settings={"group": ACCOUNT},
        checks=(Check(argv=("sh", "-c", CHECK), hint=hint),),
        # Not reload, which is no verb of its unit on Debian 13.
        restart_commands=("make -C /etc/mail", machine.restart("sendmail")),
        try_commands=(
            r"printf '.D{client_addr}192.0.2.7\nLocal_check_rcpt you@elsewhere.example\n' "
            "| sendmail -bt",
        ),
        manual_steps=(
            *manual_steps,
            lookup_unit.relays("the access map and relay-domains"),
            *([hint] if hint else []),
        ),
    )
    return joined(asks, lookup_unit.plan(machine, shipped, "smmta"))


def lookups(machine: Machine) -> LookupConfig | Finding:
    """Return where sendmail asks."""
    config = machine.files.get(MADE, "")
    match = re.search(r"(?m)^K(\w+) socket .*local:(/\S+)", config)
    if match is None or f"$({match[1]} " not in config:
        return does_not_ask("sendmail", "sendmail.cf has no socket map of ours")
    return LookupConfig(mta="sendmail", kind="socketmap", where=match[2], name=match[1])


def judge_session(output: str, _port: int = 25) -> Finding:
    """Judge the words of `sendmail -bt` on a recipient elsewhere, for a client at STRANGER."""
    results = re.findall(r"(?m)Basic_check_rcpt\s+returns: (.*)$", output)
    if not results:
        return note("relay", "sendmail -bt did not come to an answer", "sendmail -bt")
    if results[-1].startswith("$# error"):
        return ok("relay", f"closed for a stranger: sendmail -bt, as {STRANGER}: {results[-1]}")
    return wrong(
        "relay",
        f"OPEN: sendmail lets {STRANGER} relay: {results[-1]}",
        "look at /etc/mail/access and /etc/mail/relay-domains",
    )


INTEGRATION = Mta(
    name="sendmail",
    package="sendmail",
    plan=plan,
    witness="/usr/share/sendmail/cf",
    executables=("sendmail/sendmail",),
    shipped=(SOURCE, *lookup_unit.SHIPPED),
    files=(MAIN, MADE, RULES, *lookup_unit.FILES),
    lookups=lookups,
    session=Session(
        argv=("sendmail", "-bt"),
        text=(
            f".D{{client_addr}}{STRANGER}\n.D{{client_name}}[{STRANGER}]\n.D{{client_resolve}}FAIL\n"
            f"Basic_check_rcpt <{SOMEBODY}>\n"
        ),
        judge=judge_session,
    ),
    untried=note("relay", "sendmail -bt cannot be run", "sendmail -bt"),
    read_once=MADE,
)
