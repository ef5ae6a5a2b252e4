"""Does the MTA's configuration ask, and whom; is its relay closed? Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..integrations.postfix import CLOSES, holds, open_networks
from .findings import LOG, Finding, note, ok, wrong

STRANGER = "192.0.2.254"
"""An address that is nobody's (RFC 5737)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where an MTA asks, by its configuration."""

    mta: str
    kind: Literal["socketmap", "policy", "program"]
    where: str = ""
    """The path of a unix socket; "" where it starts a program."""
    name: str = "pbs"
    """The name of the map in a socketmap question."""
    user: str = ""
    """The account that its lookups run as; "" where that is not known."""
    group: str = ""
    program: str = ""
    """The path of its pbs-lookup; "" where that is not known."""


def asked(mta: str, texts: Mapping[str, str]) -> Asked | Finding:
    """Where `mta` asks; `texts` are its configuration, by the names in `WANTED`."""
    return _ASKED[mta](texts)


def _no(mta: str, what: str) -> Finding:
    return wrong("MTA", f"{mta} does not ask: {what}", f"pbs-filter --setup {mta}")


def _postfix(texts: Mapping[str, str]) -> Asked | Finding:
    words = re.split(r"[\s,{}]+", texts["restrictions"])
    kind: Literal["socketmap", "policy"] = "socketmap"
    found = next((w for w in words if w.startswith("socketmap:unix:")), None)
    if found is None:
        kind = "policy"
        found = next(
            (
                word
                for before, word in pairwise(words)
                if before == "check_policy_service" and "pbs" in word
            ),
            None,
        )
    if found is None:
        return _no("postfix", "smtpd_relay_restrictions names neither our socketmap nor our policy")
    path, _, name = found.partition("unix:")[2].partition(":")
    service = re.search(
        rf"(?m)^{re.escape(path.rpartition('/')[2])}\s+unix\s.*argv=\S*pbs-lookup", texts["master"]
    )
    user = program = ""
    if path.startswith("private/"):
        if service is None:
            return _no("postfix", f"master.cf has no service {path.rpartition('/')[2]} of ours")
        who = re.search(r"user=(\S+)", service[0])
        user = who[1] if who else ""
        program = service[0].rpartition("argv=")[2]
    where = path if path.startswith("/") else f"{texts['queue'].strip()}/{path}"
    account, _, group = user.partition(":")
    return Asked(
        mta="postfix",
        kind=kind,
        where=where,
        name=name,
        user=account,
        group=group,
        program=program,
    )


def _exim(texts: Mapping[str, str]) -> Asked | Finding:
    if "pbs-filter.acl" not in texts["config"] and "pbs-lookup" not in texts["config"]:
        return _no("exim", "its configuration does not include pbs-filter.acl")
    found = re.search(r"readsocket\{(/[^}]*)\}", texts["acl"])
    if found is None:
        return Asked(mta="exim", kind="program", user="Debian-exim")
    return Asked(mta="exim", kind="socketmap", where=found[1])


def _sendmail(texts: Mapping[str, str]) -> Asked | Finding:
    found = re.search(r"(?m)^K(\w+) socket .*local:(/\S+)", texts["config"])
    if found is None or f"$({found[1]} " not in texts["config"]:
        return _no("sendmail", "sendmail.cf has no socket map of ours")
    return Asked(mta="sendmail", kind="socketmap", where=found[2], name=found[1])


def _opensmtpd(texts: Mapping[str, str]) -> Asked | Finding:
    if not re.search(r"(?m)^\s*match\s.*<pbs>", texts["config"]):
        return _no("opensmtpd", "smtpd.conf has no rule for <pbs>")
    return Asked(mta="opensmtpd", kind="program", user="opensmtpd")


def _courier(texts: Mapping[str, str]) -> Asked | Finding:
    ports = re.findall(r"(?m)^PORT=.*$", texts["config"])
    if not ports or "relaylock" not in ports[-1]:
        return _no("courier", "PORT in esmtpd does not run relaylock")
    return Asked(mta="courier", kind="program", user="courier")


def _qmail(_texts: Mapping[str, str]) -> Asked | Finding:
    return note(
        "MTA",
        "qmail: whether its run file has relaylock is for you to see",
        "grep -r relaylock /service",
    )


_ASKED = {
    "postfix": _postfix,
    "exim": _exim,
    "sendmail": _sendmail,
    "opensmtpd": _opensmtpd,
    "courier": _courier,
    "qmail": _qmail,
}


# ---------------------------------------------------------------------- the service's answer


def question(asked: Asked) -> bytes:
    """The question for STRANGER, in the protocol of the socket."""
    if asked.kind == "policy":
        return f"request=smtpd_access_policy\nclient_address={STRANGER}\n\n".encode()
    key = f"{asked.name} {STRANGER}"
    return f"{len(key)}:{key},".encode()


def answer(asked: Asked, reply: bytes, problem: str) -> Finding:
    """What the service's `reply` (or the `problem` of asking) means."""
    text = reply.decode("utf-8", "replace").strip()
    if problem:
        return wrong(
            "MTA",
            f"{asked.mta} asks at {asked.where}, where nobody answers: {problem}",
            *_restart_of(asked),
        )
    if "NOTFOUND" in text or "DUNNO" in text:
        return ok("MTA", f"{asked.mta} asks at {asked.where}, and is answered")
    if re.search(r"\bOK\b", text):
        return wrong(
            "MTA", f"{asked.where} says that a stranger, {STRANGER}, may relay", "pbs-filter --list"
        )
    return wrong("MTA", f"{asked.where} cannot answer: {text!r}", f"tail {LOG}")


def _restart_of(asked: Asked) -> tuple[str, ...]:
    if asked.mta == "postfix":
        return "postfix reload", "tail /var/log/mail.log"
    return "systemctl restart pbs-lookup.socket", "journalctl -u pbs-lookup"


# ---------------------------------------------------------------------- a stranger


def postfix_closed(restrictions: str, recipient: str, mynetworks: str) -> list[Finding]:
    """Whether Postfix's settings are closed for strangers and open for those in the map."""
    found = []
    wide = open_networks(mynetworks)
    if wide:
        found.append(
            wrong(
                "relay",
                f"OPEN: mynetworks has {', '.join(wide)}: strangers are in it",
                "postconf -e 'mynetworks = 127.0.0.0/8 [::1]/128'",
            )
        )
    words = [word for word in re.split(r"[\s,]+", restrictions) if word]
    first = next((i for i, word in enumerate(words) if word in CLOSES), len(words))
    if "permit" in words[:first] or first == len(words):
        found.append(
            wrong(
                "relay",
                "OPEN: smtpd_relay_restrictions does not end with reject_unauth_destination",
                "pbs-filter --setup postfix",
            )
        )
    if {"reject_unauth_destination", "defer_unauth_destination"} & set(
        re.split(r"[\s,]+", recipient)
    ):
        found.append(
            wrong(
                "relay",
                "smtpd_recipient_restrictions refuses to relay, whatever the map says",
                "take reject_unauth_destination out of smtpd_recipient_restrictions",
            )
        )
    return found


def strangers(own: Sequence[str], trusted: str) -> list[str]:
    """The addresses of this machine which the MTA does not trust: from there we can be one."""
    return [
        address
        for address in own
        if not address.startswith(("127.", "fe80:"))
        and address != "::1"
        and holds(trusted, address) is None
    ]


def conversation(source: str, reply: str) -> Finding:
    """What the local MTA said to RCPT for a recipient elsewhere, to a client at `source`."""
    if reply.startswith("2"):
        return wrong(
            "relay",
            f"OPEN: the MTA takes mail from {source} to elsewhere: {reply}",
            f"stop the MTA until that is mended; or, if {source} may relay on purpose, put it into "
            "mynetworks",
            "pbs-filter --list",
        )
    return ok("relay", f"closed for a stranger: from {source} to elsewhere the MTA said {reply}")


def exim_session(said: str) -> Finding:
    """What `exim -bh` with STRANGER's address said to RCPT for a recipient elsewhere."""
    replies = re.findall(r"(?m)^([245]\d\d [^\n]*)$", said)
    # greeting, HELO, MAIL, RCPT, QUIT
    if len(replies) < 4:
        return note("relay", "exim4 -bh did not come to an answer", f"exim4 -bh {STRANGER}")
    return conversation(STRANGER, replies[3])


SENDMAIL_TEST = (
    f".D{{client_addr}}{STRANGER}\n.D{{client_name}}[{STRANGER}]\n.D{{client_resolve}}FAIL\n"
    "Basic_check_rcpt <pbs-filter-doctor@example.com>\n"
)
"""For `sendmail -bt`: a recipient elsewhere, for a client at STRANGER."""


def sendmail_session(said: str) -> Finding:
    """What `sendmail -bt` said to SENDMAIL_TEST."""
    results = re.findall(r"(?m)Basic_check_rcpt\s+returns: (.*)$", said)
    if not results:
        return note("relay", "sendmail -bt did not come to an answer", "sendmail -bt")
    if results[-1].startswith("$# error"):
        return ok("relay", f"closed for a stranger: sendmail -bt, as {STRANGER}: {results[-1]}")
    return wrong(
        "relay",
        f"OPEN: sendmail lets {STRANGER} relay: {results[-1]}",
        "look at /etc/mail/access and /etc/mail/relay-domains",
    )


def opensmtpd_closed(config: str) -> Finding:
    """Whether smtpd.conf has a rule by which anybody relays."""
    for line in config.splitlines():
        rule = line.partition("#")[0]
        if re.match(r"\s*match\b", rule) and not re.search(r"\b(?:auth|reject|tag)\b", rule):
            anybody = re.search(r"\bfrom\s+any\b", rule)
            anywhere = re.search(r"\bfor\s+any\b", rule)
            if anybody and anywhere:
                return wrong(
                    "relay",
                    f"OPEN: smtpd.conf relays for everybody: {rule.strip()!r}",
                    "take that rule out of /etc/smtpd.conf",
                )
    return ok(
        "relay",
        "closed by smtpd.conf: no rule relays for everybody. Not tried by SMTP: "
        "smtpd trusts every address of this machine",
    )
