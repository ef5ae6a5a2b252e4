"""The arrows between modules point one way, and the pure ones touch nothing outside."""

from __future__ import annotations

import pytest

from tests.layers import PURE, breaches, layer, modules, pure_files

MODULES = modules()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_keeps_to_its_layer(name):
    path = MODULES[name]
    assert [] == breaches(name, path.read_text(), is_package=path.name == "__init__.py")


@pytest.mark.parametrize("name", sorted(PURE))
def test_every_pure_module_named_exists(name):
    assert name in MODULES


def test_arrows_never_lead_back():
    """No module is reached from what it may import."""

    def below(name, seen=()):
        assert name not in seen, f"{' -> '.join((*seen, name))} is a circle"
        for other in PURE.get(name, ()):
            below(other, (*seen, name))

    for name in PURE:
        below(name)


def test_every_grammar_and_server_file_is_pure():
    """A new server is covered by the list without being added to it."""
    assert layer("servers.a_new_one") == "servers"
    assert layer("grammar.tokens") == "grammar"
    assert "pbs_filter/servers/popa3d.py" in pure_files()
    assert "pbs_filter/service/feed.py" not in pure_files()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("authorisation.ledger", "import time", "a pure module imports time"),
        ("authorisation.ledger", "from time import time", "a pure module imports time"),
        ("authorisation.ledger", "def f():\n    import os.path", "a pure module imports os.path"),
        ("syslog.records", "from ..service.feed import Feed", "syslog imports service.feed"),
        ("syslog.records", "from ..authorisation import ledger", "syslog imports authorisation"),
        ("syslog.records", "import pbs_filter.authorisation.ledger", "imports authorisation"),
        ("authorisation.correlator", "from ..store.journal import Journal", "store.journal"),
        (
            "authorisation.pipeline",
            "if TYPE_CHECKING:\n    from ..service.feed import Feed",
            "authorisation imports service.feed",
        ),
        ("authorisation.policy", "import netaddr", "a pure module imports netaddr"),
        ("model", "import pyparsing as pp", "a pure module imports pyparsing"),
        ("servers.popa3d", "import re, socket", "a pure module imports socket"),
        ("servers.popa3d", "from ..authorisation.ledger import Ledger", "imports authorisation"),
        ("servers.popa3d", "from .courier import SERVER", "one server's file imports another's"),
        ("grammar.tokens", "from ..servers import SERVERS", "grammar imports servers"),
        ("map_format.entry", "text = open('/etc/passwd').read()", "a pure module calls open()"),
        ("map_format.entry", "print(1)", "a pure module calls print()"),
        ("map_format.entry", "from . import completeness", "imports map_format.completeness"),
        ("syslog.timestamps", "when = datetime.now()", "a pure module reads a clock, now()"),
        ("syslog.timestamps", "when = datetime.datetime.utcnow()", "reads a clock, utcnow()"),
        ("lookup.protocols.socketmap", "from ...model import Record", "side imports model"),
        ("lookup.protocols.server", "from ...syslog import records", "side imports syslog"),
        ("store.journal", "from ..authorisation import ledger", "a store knows nothing of"),
    ],
)
def test_a_breach_is_found(name, text, complaint):
    assert any(complaint in broken for broken in breaches(name, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("authorisation.ledger", "from ..model import Record\nfrom ..map_format import entry"),
        ("servers.popa3d", "import pyparsing as pp\nfrom ..grammar import Rule"),
        ("service.feed", "import os, time\nfrom ..authorisation import pipeline\nopen('x')"),
        ("lookup.protocols.server", "import socket\nfrom ...errors import StoreBusy"),
        ("store.gdbm_map", "import dbm.gnu\nfrom ..errors import StoreBusy\nfrom .. import files"),
    ],
)
def test_what_is_allowed_is_not_a_breach(name, text):
    assert [] == breaches(name, text)
