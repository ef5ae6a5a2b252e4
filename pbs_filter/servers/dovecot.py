"""Dovecot 0.99 to 2.4, as a server and (where `enable` asks for it) as a proxy.

Printed by      `client_log` in src/login-common/client-common.c, which puts the elements of
                `login_log_format_elements` behind "Login: " (up to 2.3) or "Logged in: " (2.4,
                `client_destroy_success`); ends by `client_log_disconnect` in imap/imap-client.c
                and `client_destroy` in pop3/pop3-client.c; a proxy's lines by
                `client_proxy_finish_destroy_client` and `login_proxy_free_full`.
Client's text   the user element: cleaned of control characters and cut at 80 characters, but `>`,
                `,`, `=` and blanks pass. They stand in lines of refused logins, and in a success
                only where an account has such a name. Inside `<>` a name may hold anything but
                a `>` that a comma or blank follows; where the administrator left them out, no blank, comma or bracket. The
                reason of an end may hold the name of the client's last command, in parentheses;
                behind it stands `imap_logout_format` or `pop3_logout_format`, any text.
Session         the session id: in the login line by default since 2.1, in the prefix of the
                session's process since 2.3. 2.2 writes only user and program at the end, and may
                write the end before the login (two processes). No end has an address.

Travels         by syslog(3) under `instance_name`, which is `dovecot` unless the administrator has
                several (then `programs`). A message above 4 KiB is split, each piece with the
                process in front; a login's is never that long. From a container the lines of
                Dovecot's own log, with its stamp, come under the container's name (`programs`).

The administrator chooses and orders the elements: each may stand anywhere, once; `rip=` must. One
that is not known here is read past, if it is `KEY=VALUE` without a blank or comma (or in `<>`), and
stands behind `rip=`; then only `user=` and `method=` may stand in front of that.
"""

from __future__ import annotations

import pyparsing as pp

from ..grammar import (
    ADDRESS,
    HOST,
    NUMBER,
    PORT,
    TEXT,
    USER,
    WORD,
    Rule,
    Server,
    line,
    name,
    name_before,
    samples,
    token,
)
from ..model import Accepted, Ended, Ignored, Refused
from ..syslog.headers import BSD, DAY_TIME, ISO, PRI, TAI64, OwnLog

SERVICE = pp.one_of(["imap-login", "pop3-login"])
ANY_SERVICE = pp.one_of(
    ["imap-login", "pop3-login", "managesieve-login", "submission-login", "lmtp-login"]
)
INFO = pp.Opt("Info: ")
# The stamp of Dovecot's own log, in a line that the container's log driver hands on.
_MONTH = pp.one_of("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
_CLOCK = token(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?>(?:\.[0-9]{1,9})?) ", "a time")
_STAMP = (_MONTH + token(" [ 0-9][0-9] ", "a day") + _CLOCK) | (
    "20" + token("[0-9]{2}-[0-9]{2}-[0-9]{2}[ T]", "a date") + _CLOCK
)
SESSION_ID = WORD("A-Za-z0-9+/=:_.-", 100)

# --- the elements of a login line

SEPARATOR = token(r"(?>,[ \t]?|[ \t])(?=.)|(?!.)", "the next element, or the end")
MECHANISM = token(r"(?!ANONYMOUS\b)[A-Za-z0-9_-]{1,40}+", "a mechanism that proves who it is")
CIPHER = line(
    "{version} with cipher {cipher} ({number}/{number} bits){compression?}",
    version=pp.one_of(["TLSv", "SSLv"])("tls_cipher") + WORD("0-9.", 8),
    cipher=WORD("A-Za-z0-9_-", 80),
    compression=pp.one_of([" zlib compression", " run length compression"]),
)


def _element(start: str, *values: pp.ParserElement) -> pp.ParserElement:
    """Return the element that begins with `start` and goes on with one of `values`."""
    value = values[0] if len(values) == 1 else pp.MatchFirst(values)
    return pp.Literal(start) + value + SEPARATOR


_PARTS = {
    "id": SESSION_ID("session"),
    "name": USER,
    "service": SERVICE("protocol"),
    "info": INFO,
}
_NAME = name_before(">,", "> ", ">\t", last=">")("user")
# Such a name may hold `TLS` between commas, if the site allows them.
_BARE = token("(?!<)", "a name without brackets")("tls_unknown")
_USER = pp.Opt(_element("user=", line("<{user}>", user=_NAME), _BARE + USER("user")))
_METHOD = pp.Opt(_element("method=", MECHANISM))
_RIP = _element("rip=", ADDRESS("address"))


def _others(more: pp.ParserElement) -> list[pp.ParserElement]:
    """Return the elements that may stand anywhere, each with `more` behind it."""
    # In the order of the default, which is read fastest.
    elements = [
        _element("lip=", ADDRESS("local"), line("<{name}>", name=WORD("A-Za-z0-9_.-", 80))),
        _element("mpid=", NUMBER),
        # The last "TLS" of a line stands behind all others: with the end for a separator it would
        # begin like "TLSv1.3 ...", and which of the two is meant must be told by their beginnings.
        pp.Literal("TLS")("tls") + pp.one_of([", ", ",", " ", "\t"]),
        pp.Literal("secured") + SEPARATOR,
        _element("session=", line("<{id}>", **_PARTS), SESSION_ID("session")),
        _element("pid=", NUMBER),
        _element("rport=", PORT),
        _element("lport=", PORT),
        _element("real_rip=", ADDRESS),
        _element("real_lip=", ADDRESS),
        _element("local_name=", HOST),
        CIPHER + SEPARATOR,
        # For the cipher where HAProxy ended TLS.
        pp.Literal("(proxied)") + SEPARATOR,
        # 2.4 has this misspelling.
        pp.Literal("TSL") + SEPARATOR,
    ]
    return [pp.Opt(element + more) for element in elements]


_LAST_TLS = pp.Opt(pp.Literal("TLS")("tls_last"))
ELEMENTS = pp.Each([_USER, _METHOD, _RIP, *_others(pp.Empty())]) + _LAST_TLS

_KNOWN = "(?:user|method|rip|lip|mpid|session|pid|rport|lport|real_rip|real_lip|local_name)="
_KEY = rf"(?!{_KNOWN})[a-z][a-z0-9_]{{0,30}}+"
_VALUE = r"(?>[^\s,<>\x00-\x1f]{1,255}+|<[^<>\x00-\x1f]{0,255}+>)"
_NEXT = r"(?>,[ \t]?(?=.)|[ \t](?=.)|(?!.))"
_MORE = token(rf"(?>(?:{_KEY}={_VALUE}{_NEXT}){{0,20}})", "elements that are not known")
# Every login is searched for one, hence from one separator to the next.
_UP_TO_NEXT = r"[^, \t\n]{0,400}+[, \t]{1,9}+"
_HAS_MORE = token(
    rf"(?=(?>(?:{_UP_TO_NEXT}(?!{_KEY}=)){{0,200}}){_UP_TO_NEXT}{_KEY}=)",
    "an element that is not known",
)
MORE_ELEMENTS = _HAS_MORE + _USER + _METHOD + _RIP + _MORE + pp.Each(_others(_MORE)) + _LAST_TLS

STAMP = pp.Opt(_STAMP)
START = line("{info}{service}: {info}", **_PARTS)
# The default elements in the default order, which `ELEMENTS` reads as well, in 2.5 times the time.
USUAL = (
    line(
        "user=<{user}>, method={how}, rip={address}, lip={local}{mpid?}{tls?}{session?}",
        user=_NAME,
        how=MECHANISM,
        local=ADDRESS("local"),
        mpid=line(", mpid={number}"),
        tls=pp.Literal(", TLS")("tls"),
        session=line(", session=<{id}>", **_PARTS),
    )
    + pp.StringEnd()
)
_LOGIN = STAMP + START + (pp.Literal("Login: ") | pp.Literal("Logged in: "))
# One rule for all, because as rules of their own each would be tried on every login.
LOGIN = _LOGIN + (USUAL | (ELEMENTS + pp.StringEnd()) | MORE_ELEMENTS)
_OLD_NAME = name(' <>()[],;:"=')("user")
LOGIN_099 = START + line("Login: {user} [{address}]", user=_OLD_NAME)

# --- a proxy in front of other servers: the backend's address comes first

BACKEND = token(r"(?>(?:[0-9A-Za-z_.\[\]-]{1,255}+|:(?! )){1,20})", "a host and port")
_PROXY = {"name": USER, "backend": BACKEND}
_BACKEND = line("<{backend}>", **_PROXY)
_PROXY_NAME = line("<{name}>", **_PROXY) | USER
PROXY_22 = line(
    "{name}): started proxying to {backend}{user?}{master?}",
    user=line("/{name}", **_PROXY),
    master=line(" (master {name})", **_PROXY),
    **_PROXY,
)
PROXY_23 = line(
    "{name},{backend}): Started proxying to {to}{source?}{user?}{master?}{time?}",
    to="remote host" | (_BACKEND + pp.Opt(line(" ({backend})", backend=_BACKEND))),
    source=line(" from {backend}", backend=_BACKEND | BACKEND),
    user=line(" as user {name}", name=_PROXY_NAME),
    master=line(" (master {name})", name=_PROXY_NAME),
    time=line(
        " ({seconds} secs{more?})",
        seconds=WORD("0-9.", 20),
        more=line(", {number} reconnects"),
    ),
    **_PROXY,
)
PROXY = START + line("proxy({how}: ", how=PROXY_22 | PROXY_23) + ELEMENTS

# --- ends

PROCESS = pp.one_of(["imap", "IMAP", "imap-hibernate", "pop3", "POP3"])
# Words, and parentheses nested at most once; a word that is followed by `=` begins the numbers.
_PARENTHESES = r"\((?>(?:[^()\n]{1,400}+|\([^()\n]{0,200}+\)){0,9})\)"
_WORD = rf"(?>(?:[^\s()<>=:]{{1,100}}+|:(?! [a-z_0-9]{{1,30}}+=)|{_PARENTHESES}){{1,20}})"
_WORDS = rf"(?>(?: (?![a-z_0-9]{{1,30}}+=){_WORD}){{0,80}})"
_NUMBERS = r"(?>(?:,? [a-z_0-9]{1,30}+=[^\s,]{1,200}+){0,40})"
_ENDS = r"(?>Disconnected|Logged out|Connection closed|Server shutting down)"
END = token(rf"{_ENDS}(?>[:.,]?){_WORDS}{_NUMBERS}", "the reason of an end, and its numbers")
_PROCESS = _PARTS | {
    "process": STAMP + INFO + PROCESS("protocol"),
    "name": name_before(")<", "): "),
    "user": name_before(")<", "): ")("user"),
    "end": END,
}
END_BY_ID = line("{process}({name})<{number}><{id}>: {info}{end}", **_PROCESS)
END_BY_PREFIX = line("{process}({name}): {info}session={id} {end}", **_PROCESS)
END_BY_USER = line("{process}({user}): {info}{end}", **_PROCESS)
PROXY_END = line(
    "{start}proxy({name}{backend?}): {end}: {elements}",
    start=START,
    name=USER,
    backend="," + BACKEND,
    end=token(
        r"(?>disconnecting [0-9A-Fa-f:.]{2,45}+|Disconnected by (?>client|server)(?>:?))"
        rf"{_WORDS}",
        "the reason of an end",
    ),
    elements=ELEMENTS,
)

# --- the rest, so that lines which no rule reads mean something

_REFUSALS = (
    r"\(auth failed|authentication attempts\)|disallowed plaintext|\(user disabled|"
    r"\(password expired|Maximum number of connections|Aborted login: user="
)
_BEFORE_LOGIN = r"(?!Login: |Logged in: |proxy\()"
_ANY_START = line("{info}{any}: {info}", any=ANY_SERVICE, **_PARTS)
REFUSAL = (
    _ANY_START + token(rf"{_BEFORE_LOGIN}(?=[^<]{{0,600}}?(?:{_REFUSALS}))", "a refusal") + TEXT
)
NOTHING = (
    _ANY_START + token(rf"{_BEFORE_LOGIN}(?![^<]{{0,600}}?(?:{_REFUSALS}))", "no refusal") + TEXT
)
OTHER_SERVICE = line(
    "{info}{other}{info}{words}{text}",
    other=pp.one_of(["managesieve-login: ", "submission-login: ", "lmtp-login: "]),
    words=pp.one_of(["Login: ", "Logged in: ", "proxy("]),
    **_PARTS,
)
LEVEL = pp.Opt(
    pp.one_of(["Info: ", "Warn: ", "Warning: ", "Error: ", "Fatal: ", "Panic: ", "Debug: "])
)
_PREFIX = r"[^\n]{1,255}?\)(?:<[0-9]{1,20}><[^<>\s]{1,100}>)?: (?:Info: |)(?:session=\S{1,100} |)"
IN_SESSION = (
    line("{level}{process}(", level=LEVEL, process=PROCESS)
    + token(f"(?!{_PREFIX}{_ENDS})", "no end")
    + TEXT
)
# The events are another server's, in dovecot_events.py.
HELPER = (
    LEVEL
    + token(r"(?!stats: (?:Info: )?\{)", "no event")
    + pp.one_of(
        "aggregator anvil auth auth-worker config deliver dict director dns-client doveadm dovecot "
        "health-check imap-urlauth imap-urlauth-worker indexer indexer-worker ipc lda lmtp log "
        "managesieve master old-stats quota-status replicator script-login ssl-params stats "
        "submission welcome"
    )
    + pp.one_of([": ", "(", "<"])
    + TEXT
)

_LOGIN_OR_END = rf"(?:imap|pop3)-login: (?:Info: |)(?:Login|Logged in): |(?i:imap|pop3|imap-hibernate)\({_PREFIX}{_ENDS}"
IN_CONTAINER = _STAMP + token(rf"(?!(?:Info: |)(?:{_LOGIN_OR_END}))", "no login or end") + TEXT

# --- each process under its own name: 0.99 and the betas of 1.0 at syslog

TAGGED_LOGIN = INFO + "Login: " + ELEMENTS
TAGGED_LOGIN_099 = line("{info}Login: {user} [{address}]", user=_OLD_NAME, **_PARTS)
TAGGED_NOTHING = INFO + pp.one_of(["Aborted login", "Disconnected"]) + TEXT

# For the samples: every element, and the other spelling of those that have two.
EVERYTHING = (
    "session=<8n+hC7Ng>, TLS, TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits), secured, "
    "TSL, (proxied), user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=4711, pid=4712, "
    "rport=40001, lport=993, real_rip=198.51.100.9, real_lip=198.51.100.1, "
    "local_name=imap.example.org, TLS"
)
OTHERWISE = (
    "session=8n+hC7Ng, user=bob, rip=192.0.2.7, lip=<mx1>, "
    "SSLv3 with cipher DHE-RSA-AES256-SHA (256/256 bits) zlib compression"
)

LOGIN_LINES = samples(f"""
dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=4711, TLS, session=<8n+hC7Ng3tIAAAAB>
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng3tIAAAAB local=192.0.2.1 tls=yes
dovecot[1]: pop3-login: Logged in: user=<bob@example.org>, method=CRAM-MD5, rip=2001:db8::7, lip=2001:db8::1, mpid=4711, secured, session=<8n+hC7Ng3tIAAAAB>
    -> accepted user=bob@example.org address=2001:db8::7 protocol=pop3 session=8n+hC7Ng3tIAAAAB local=2001:db8::1 tls=no
dovecot: pop3-login: Info: Login: user=<bob>, rip=::ffff:192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
dovecot: Info: imap-login: Login: rip=192.0.2.7,lip=<mx1>, pid=4711, TLS
    -> accepted user= address=192.0.2.7 protocol=imap tls=yes
dovecot: imap-login: Login: {EVERYTHING}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
dovecot: imap-login: Login: {OTHERWISE}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng
dovecot: imap-login: Login: user=<bob> rip=192.0.2.7\tlip=192.0.2.1
    -> accepted user=bob address=192.0.2.7 protocol=imap local=192.0.2.1 tls=no
dovecot: imap-login: Login: user=<EXAMPLE\\pat o'neil, {{a=b}} (`x`: "y")>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=4711, TLS, (proxied), session=<8n+hC7Ng>
    -> accepted user=EXAMPLE\\pat o'neil, {{a=b}} (`x`: "y") address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
dovecot: imap-login: Login: user=<t<u>>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1
    -> accepted user=t<u> address=192.0.2.7 protocol=imap local=192.0.2.1 tls=no
dovecot: Jan 05 10:00:00 imap-login: Info: Login: user=<jürgen>, rip=192.0.2.7, TLS, (proxied)
    -> accepted user=jürgen address=192.0.2.7 protocol=imap tls=yes
dovecot: 2026-01-05 10:00:00 Info: pop3-login: Login: user=<bob>, rip=192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=pop3 tls=no
dovecot: imap-login: Login: user=<bob, rip=203.0.113.66>, method=PLAIN, rip=198.51.100.23, lip=192.0.2.1
    -> accepted user=bob, rip=203.0.113.66 address=198.51.100.23 protocol=imap local=192.0.2.1 tls=no
dovecot: imap-login: Login: user=<bob>, rip=203.0.113.66>, method=PLAIN, rip=198.51.100.23
    not: two elements rip=
dovecot: imap-login: Login: user=<bob>, rip=198.51.100.23, rip=203.0.113.66
    not: two elements rip=
dovecot: imap-login: Login: user=<bob>, method=ANONYMOUS, rip=203.0.113.66
    not: everybody may log in so
dovecot: imap-login: Login: user=<>, rip=203.0.113.66
    not: nobody logged in
dovecot: imap-login: Login: user=<bob>, rip=203.0.113.66, lip=192.0.2.1 Authentication Failure:
    not: text after the last element
dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=
    not: no address
dovecot: imap-login: Login: user=<bob>, method=PLAIN
    not: no address
dovecot: pop3-login: Login: user=<bob>, rip=192.0.2, lip=192.0.2.1
    not: three numbers are not an address
dovecot: imap-login: Logged in: user=<bob>, rip=203.0.113.66,\x20
    not: the line was cut
dovecot: managesieve-login: Logged in: user=<bob>, rip=203.0.113.66
    not: not POP or IMAP
dovecot: Login: user=<bob>, rip=203.0.113.66
    not: no service
dovecot: imap-login: imap-login: Login: user=<bob>, rip=203.0.113.66
    not: the service twice
""")

LOGIN_MORE_LINES = samples("""
dovecot: imap-login: Logged in: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=4711, TLS, session=<8n+hC7Ng>, ja3=aa56c057ad164ec4fdcb7a5a283be9fc
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
dovecot: pop3-login: Login: user=bob, rip=192.0.2.7, orig_user=<pat smith, x>, listener=pop3s, TLS
    -> accepted user=bob address=192.0.2.7 protocol=pop3
dovecot: pop3-login: Login: rip=192.0.2.7, listener=x, lip=<mx1>, pid=1, rport=1, lport=1, real_rip=192.0.2.9, real_lip=192.0.2.1, local_name=a, TLSv1.2 with cipher A (1/1 bits) zlib compression, (proxied), TLS, secured, TSL, mpid=1, session=8n
    -> accepted user= address=192.0.2.7 protocol=pop3 session=8n tls=yes
dovecot: imap-login: Login: user=<bob>, rip=192.0.2.7, SSLv3 with cipher A (1/1 bits), a=b
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=yes
dovecot: Jan  5 10:00:00 Info: imap-login: Login: rip=192.0.2.7, a=b
    -> accepted user= address=192.0.2.7 protocol=imap tls=no
dovecot: 2026-01-05 10:00:00 imap-login: Info: Login: rip=192.0.2.7, a=b
    -> accepted user= address=192.0.2.7 protocol=imap tls=no
dovecot: imap-login: Login: user=<t<u>>, rip=192.0.2.7, a=b
    -> accepted user=t<u> address=192.0.2.7 protocol=imap tls=no
dovecot: imap-login: Login: user=<bob>, orig_user=x, rip=203.0.113.66
    not: in front of the address
dovecot: imap-login: Login: user=<bob>, rip=198.51.100.23, orig_user=x, rip=203.0.113.66
    not: two elements rip=
dovecot: imap-login: Login: user=<bob>, rip=203.0.113.66, ja3=a b
    not: a blank in the value
dovecot: imap-login: Login: user=<bob>, rip=203.0.113.66, ja3=a,\x20
    not: the line was cut
dovecot: x imap-login: Login: user=<bob>, rip=203.0.113.66, ja3=a
    not: text in front
""")

LOGIN_099_LINES = samples("""
dovecot: imap-login: Info: Login: bob [192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=imap
dovecot: Info: pop3-login: Login: bob [::ffff:192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=pop3
dovecot: imap-login: Login: bob [203.0.113.66]\x20
    not: text after the end
dovecot: imap-login: Login: bob x [203.0.113.66]
    not: a blank in the name
dovecot: x imap-login: Login: bob [203.0.113.66]
    not: text in front
""")

PROXY_LINES = samples(f"""
dovecot: pop3-login: proxy(bob): started proxying to 198.51.100.9:110: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<8n+hC7Ng>
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=8n+hC7Ng local=192.0.2.1 tls=no
dovecot: imap-login: proxy(bob): started proxying to imap.example.org:143/bob2 (master root): user=<bob>, rip=192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
dovecot: imap-login: proxy(bob,198.51.100.9:143): Started proxying to <198.51.100.9> (<imap.example.org>) from <192.0.2.1> as user <bob2> (master <root>) (0.012 secs, 1 reconnects): user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, mpid=0, TLS, session=<8n+hC7Ng>
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
dovecot: imap-login: proxy(bob,imap.example.org[2001:db8::9]:143): Started proxying to <2001:db8::9>: user=<bob>, rip=192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
dovecot: imap-login: proxy(bob,198.51.100.9:143): Started proxying to remote host from 192.0.2.1 as user bob2 (master root) (0.012 secs): user=<bob>, rip=192.0.2.7
    -> accepted user=bob address=192.0.2.7 protocol=imap tls=no
dovecot: imap-login: proxy(bob): started proxying to 203.0.113.66:143
    not: the backend's address only
dovecot: imap-login: proxy(bob): Login failed to 198.51.100.9:143: user=<bob>, rip=203.0.113.66
    not: the backend refused
dovecot: managesieve-login: proxy(bob): started proxying to 198.51.100.9:4190: user=<bob>, rip=203.0.113.66
    not: not POP or IMAP
dovecot: Info: imap-login: proxy(bob): started proxying to 198.51.100.9:143: {EVERYTHING}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
dovecot: pop3-login: Info: proxy(bob): started proxying to 198.51.100.9:110: {OTHERWISE}
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=8n+hC7Ng
dovecot: pop3-login: proxy(bob): started proxying to 198.51.100.9:110: rip=192.0.2.7
    -> accepted user= address=192.0.2.7 protocol=pop3 tls=no
dovecot: imap-login: proxy(bob): started proxying to 198.51.100.9:143: user=<bob>, rip=203.0.113.66, x
    not: text after the end
dovecot: x imap-login: proxy(bob): started proxying to 198.51.100.9:143: user=<bob>, rip=203.0.113.66
    not: text in front
""")

PROXY_END_LINES = samples(f"""
dovecot: imap-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle, in=245, out=1365+42)): user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, session=<8n+hC7Ng>
    -> ended user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng
dovecot: pop3-login: proxy(bob,198.51.100.9:110): Disconnected by server: Connection closed (2s idle, in=24, out=36): user=<bob>, rip=192.0.2.7, session=<8n+hC7Ng>
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=8n+hC7Ng
dovecot: imap-login: proxy(bob): disconnecting 192.0.2.7
    not: cut off
dovecot: Info: imap-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): {EVERYTHING}
    -> ended user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng
dovecot: pop3-login: Info: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): {OTHERWISE}
    -> ended user=bob address=192.0.2.7 protocol=pop3 session=8n+hC7Ng
dovecot: pop3-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): session=<8n+hC7Ng>, rip=192.0.2.7
    -> ended address=192.0.2.7 protocol=pop3 session=8n+hC7Ng
dovecot: pop3-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): user=<bob>, rip=192.0.2.7
    -> ended user=bob address=192.0.2.7 protocol=pop3
dovecot: pop3-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): rip=203.0.113.66 x
    not: text after the end
dovecot: x pop3-login: proxy(bob): disconnecting 192.0.2.7 (Disconnected by client(0s idle)): user=<bob>, rip=203.0.113.66
    not: text in front
""")

END_LINES = samples("""
dovecot: imap(bob)<4711><8n+hC7Ng3tIAAAAB>: Disconnected: Logged out in=213 out=6079 deleted=0 expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0
    -> ended protocol=imap session=8n+hC7Ng3tIAAAAB
dovecot: pop3(bob)<4711><8n+hC7Ng3tIAAAAB>: Info: Disconnected: Connection closed: read(size=2048) failed: Connection reset by peer top=0/0, retr=0/0, del=0/0, size=0
    -> ended protocol=pop3 session=8n+hC7Ng3tIAAAAB
dovecot: imap(bob)<4711><8n+hC7Ng3tIAAAAB>: Connection closed (IDLE running for 0.001 + waiting input for 60.2 secs, 2 B in + 10+0 B out, state=wait-input (a)) in=45 out=812
    -> ended protocol=imap session=8n+hC7Ng3tIAAAAB
dovecot: imap-hibernate(bob)<4711><8n+hC7Ng3tIAAAAB>: Disconnected: Server shutting down. in=45 out=812
    -> ended protocol=imap session=8n+hC7Ng3tIAAAAB
dovecot: pop3(pat (o'neil) smith)<4711><8n+hC7Ng>: Disconnected: Logged out in=%i out=%o top=%t/%p, retr=%r/%b, del=%d/%m, size=%s
    -> ended protocol=pop3 session=8n+hC7Ng
dovecot: imap(bob)<4711><8n+hC7Ng>: Logged out in=12 out=345, uidl_hash=0a5b4f2e/0a5b4f2e session=<8n+hC7Ng>
    -> ended protocol=imap session=8n+hC7Ng
dovecot: 2026-01-05 10:00:00 imap(bob)<4711><8n+hC7Ng>: Info: Logged out in=12 out=345
    -> ended protocol=imap session=8n+hC7Ng
dovecot: Jan  5 10:00:00 Info: imap(bob)<4711><8n+hC7Ng>: Logged out in=12 out=345
    -> ended protocol=imap session=8n+hC7Ng
dovecot: imap(bob)<4711><8n+hC7Ng3tIAAAAB>: copy from INBOX: box=Trash, uid=4, msgid=<Logged out>
    not: a line within the session
dovecot: imap-login: Disconnected: Logged out (no auth attempts in 0 secs): user=<>, rip=203.0.113.66, session=<8n+hC7Ng3tIAAAAB>
    not: nobody had logged in
dovecot: x imap(bob)<4711><8n+hC7Ng>: Logged out in=1
    not: text in front
dovecot: imap(bob)<4711><8n+hC7Ng>: Logged out in=1 x
    not: text after the end
""")

END_BY_PREFIX_LINES = samples("""
dovecot: imap(bob): session=8n+hC7Ng Connection closed in=755 out=714148
    -> ended protocol=imap session=8n+hC7Ng
dovecot: pop3(bob): Info: session=8n+hC7Ng Disconnected for inactivity top=0/0, retr=1/39452, del=0/2968, size=87834658
    -> ended protocol=pop3 session=8n+hC7Ng
dovecot: Jan  5 10:00:00 Info: imap(bob): session=8n+hC7Ng Logged out in=1
    -> ended protocol=imap session=8n+hC7Ng
dovecot: 2026-01-05 10:00:00 imap(bob): session=8n+hC7Ng Logged out in=1
    -> ended protocol=imap session=8n+hC7Ng
dovecot: imap(bob): session=8n+hC7Ng Connected in=0
    not: no end
dovecot: x imap(bob): session=8n+hC7Ng Logged out in=1
    not: text in front
dovecot: imap(bob): session=8n+hC7Ng Logged out in=1 x
    not: text after the end
""")

END_BY_USER_LINES = samples("""
dovecot: imap(bob): Logged out in=82 out=550
    -> ended user=bob protocol=imap
dovecot: POP3(bob@example.org): Disconnected: Logged out top=0/0, retr=0/0, del=0/14, size=470843
    -> ended user=bob@example.org protocol=pop3
dovecot: imap(bob): Info: Connection closed bytes=0/285
    -> ended user=bob protocol=imap
dovecot: Info: IMAP(pat o'neil): Disconnected: Logged out bytes=59/566 rip=203.0.113.66
    -> ended user=pat o'neil protocol=imap
dovecot: Jan  5 10:00:00 Info: IMAP(bob): Disconnected: Logged out bytes=59/566
    -> ended user=bob protocol=imap
dovecot: 2026-01-05 10:00:00 imap(bob): Logged out in=1
    -> ended user=bob protocol=imap
dovecot: imap(bob): Disconnected in=82 out=550 rip=203.0.113.66 x
    not: text after the end
dovecot: x imap(bob): Logged out in=1
    not: text in front
""")

REFUSED_LINES = samples("""
dovecot: imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=192.0.2.7
    -> refused
dovecot: Info: pop3-login: Info: Login aborted: Logged out (auth failed, 1 attempts in 2 secs) (auth_failed): user=<x> imap-login: Logged in: user=<bob>, rip=203.0.113.66>, method=PLAIN, rip=198.51.100.23
    -> refused
dovecot: managesieve-login: Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10): user=<bob>, rip=192.0.2.7
    -> refused
dovecot: imap-login: Aborted login (auth failed, 1 attempts in 2 secs): user=<bob>, rip=203.0.113.66
    not: refused
dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<alice>, method=plain, rip=203.0.113.66, session=<abc>>, method=PLAIN, rip=198.51.100.23
    not: refused, and the user's text is a login
""")

NOT_LOGGED_IN_LINES = samples("""
dovecot: imap-login: Disconnected (no auth attempts in 0 secs): user=<>, rip=192.0.2.7, lip=192.0.2.1
    -> ignored
dovecot: Info: pop3-login: Info: Disconnected: rip=192.0.2.7
    -> ignored
dovecot: pop3-login: Login aborted: Logged out (no auth attempts in 0 secs) (no_auth_attempts): user=<>, rip=203.0.113.66, TLS, session=<8n+hC7Ng>
    not: nobody had logged in
""")

OTHER_SERVICE_LINES = samples("""
dovecot: managesieve-login: Logged in: user=<bob>, rip=192.0.2.7
    -> ignored
dovecot: Info: submission-login: Info: Login: user=<bob>, rip=192.0.2.7
    -> ignored
dovecot: lmtp-login: Login: user=<bob>, rip=203.0.113.66
    not: not POP or IMAP
""")

IN_SESSION_LINES = samples("""
dovecot: imap(bob)<4711><8n+hC7Ng>: Error: Mailbox INBOX: open failed
    -> ignored
dovecot: Error: POP3(bob): open() failed with mbox file
    -> ignored
dovecot: imap(bob): copy from INBOX: box=a, subject=imap-login: Login: user=<bob>, rip=203.0.113.66
    not: text of a message
""")

HELPER_LINES = samples("""
dovecot: auth: passwd-file(bob,192.0.2.7): Password mismatch
    -> ignored
dovecot: Error: auth(default): Can't connect
    -> ignored
dovecot: lmtp(bob): imap-login: Login: user=<bob>, rip=203.0.113.66
    not: not a login process
""")

IN_CONTAINER_LINES = samples("""
dovecot: Jan 05 10:00:00 auth: Info: passwd-file(bob,192.0.2.7): Password mismatch
    -> ignored
dovecot: 2026-01-05 10:00:00 imap(bob)<4711><8n+hC7Ng>: Error: Mailbox INBOX: open failed
    -> ignored
dovecot: Jan  5 10:00:00 imap-login: Info: Aborted login (auth failed): user=<Login: user=<bob>, rip=203.0.113.66>
    not: refused
""")

# --- Dovecot's own log (`log_path`), which has also stamps that no syslog daemon writes

_OWN_STAMP = f"(?:{PRI}(?:{BSD}|{ISO})|{DAY_TIME}|{TAI64}) "
_OLD_STAMP = f"(?:{BSD}|{DAY_TIME}) "
_OWN_LEVEL = "(?:Debug|Info|Warn|Warning|Error|Fatal|Panic): "
_OWN_SERVICE = "(?!dovecot:)[a-z][0-9a-z-]{0,31}"
_OLD_SERVICE = "(?:imap|pop3)(?:-login)?: "
OWN_LOGS = (
    OwnLog(
        program="dovecot",
        example="2026-11-20 09:11:13 imap(bob)<4711><8n+hC7Ng>: Info: Logged out in=1 out=2",
        start=f"{_OWN_STAMP}(?={_OWN_SERVICE}(?:[(<]|: {_OWN_LEVEL})|{_OWN_LEVEL})",
        rest=f"(?P<message>(?:{_OWN_SERVICE}(?:[(<].{{0,512}}?[)>])?: )?{_OWN_LEVEL}.*)",
    ),
    OwnLog(  # 1.x
        program="dovecot",
        example="dovecot: Nov 20 09:11:13 Info: imap-login: Login: user=<bob>, rip=192.0.2.7",
        start=f"dovecot: {_OLD_STAMP}",
        rest=f"(?P<message>{_OWN_LEVEL}.*)",
        before_stamp="dovecot: ",
    ),
    OwnLog(  # 0.99
        program="dovecot",
        example="imap-login: Nov 20 09:11:13 Info: Login: bob [192.0.2.7]",
        start=f"(?={_OLD_SERVICE}{_OLD_STAMP})",
        rest=f"(?P<before>{_OLD_SERVICE}){_OLD_STAMP}(?P<message>{_OWN_LEVEL}.*)",
        before_stamp=_OLD_SERVICE,
    ),
)

SERVER = Server(
    name="dovecot",
    title="Dovecot",
    versions="0.99 - 2.4",
    programs={"dovecot": None},
    own_logs=OWN_LOGS,
    rules=(
        Rule("login", Accepted, LOGIN, LOGIN_LINES + LOGIN_MORE_LINES, session=("session",)),
        Rule("login-0.99", Accepted, LOGIN_099, LOGIN_099_LINES),
        Rule("proxy", Accepted, PROXY, PROXY_LINES, session=("session",), off=True),
        Rule("proxy-end", Ended, PROXY_END, PROXY_END_LINES, session=("session",)),
        Rule("end", Ended, END_BY_ID, END_LINES, session=("session",)),
        Rule("end-by-prefix", Ended, END_BY_PREFIX, END_BY_PREFIX_LINES, session=("session",)),
        Rule("end-by-user", Ended, END_BY_USER, END_BY_USER_LINES),
        Rule("refused", Refused, REFUSAL, REFUSED_LINES),
        Rule("not-logged-in", Ignored, NOTHING, NOT_LOGGED_IN_LINES),
        Rule("other-service", Ignored, OTHER_SERVICE, OTHER_SERVICE_LINES),
        Rule("in-session", Ignored, IN_SESSION, IN_SESSION_LINES),
        Rule("helper", Ignored, HELPER, HELPER_LINES),
        Rule("in-container", Ignored, IN_CONTAINER, IN_CONTAINER_LINES),
    ),
)

TAGGED_LOGIN_LINES = samples(f"""
imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1
    -> accepted user=bob address=192.0.2.7 protocol=imap local=192.0.2.1 tls=no
imap-login: Login: user=<bob, rip=203.0.113.66>, rip=198.51.100.23
    -> accepted user=bob, rip=203.0.113.66 address=198.51.100.23 protocol=imap tls=no
imap-login: Login: user=<bob>, rip=203.0.113.66>, rip=198.51.100.23
    not: two elements rip=
imap-login: Info: Login: {EVERYTHING}
    -> accepted user=bob address=192.0.2.7 protocol=imap session=8n+hC7Ng local=192.0.2.1 tls=yes
pop3-login: Login: {OTHERWISE}
    -> accepted user=bob address=192.0.2.7 protocol=pop3 session=8n+hC7Ng
pop3-login: Login: rip=192.0.2.7
    -> accepted user= address=192.0.2.7 protocol=pop3 tls=no
pop3-login: Login: user=<bob>, rip=203.0.113.66 x
    not: text after the end
pop3-login: x Login: user=<bob>, rip=203.0.113.66
    not: text in front
""")

TAGGED_LOGIN_099_LINES = samples("""
pop3-login: Login: bob [192.0.2.7]
    -> accepted user=bob address=192.0.2.7 protocol=pop3
imap-login[4711]: Info: Login: bob [2001:db8::7]
    -> accepted user=bob address=2001:db8::7 protocol=imap
pop3-login: Login: bob [203.0.113.66] x
    not: text after the end
pop3-login: x Login: bob [203.0.113.66]
    not: text in front
""")

TAGGED_NOT_LOGGED_IN_LINES = samples("""
imap-login: Disconnected [192.0.2.7]
    -> ignored
imap-login: Info: Aborted login [192.0.2.7]
    -> ignored
imap-login: Aborted login: Login: bob [203.0.113.66]
    not: no login
""")

TAGGED = Server(
    name="dovecot-tag",
    title="Dovecot, each process under its own name",
    versions="0.99, betas of 1.0",
    programs={"imap-login": "imap", "pop3-login": "pop3"},
    rules=(
        Rule("login", Accepted, TAGGED_LOGIN, TAGGED_LOGIN_LINES, session=("session",)),
        Rule("login-0.99", Accepted, TAGGED_LOGIN_099, TAGGED_LOGIN_099_LINES),
        Rule("not-logged-in", Ignored, TAGGED_NOTHING, TAGGED_NOT_LOGGED_IN_LINES),
    ),
)
