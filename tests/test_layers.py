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
    assert "pbs_filter/feed.py" not in pure_files()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("ledger", "import time", "a pure module imports time"),
        ("ledger", "from time import time", "a pure module imports time"),
        ("ledger", "def f():\n    import os.path", "a pure module imports os.path"),
        ("records", "from .filter import Filter", "records imports filter"),
        ("records", "from . import filter", "records imports filter"),
        ("records", "import pbs_filter.ledger", "records imports ledger"),
        ("correlate", "from .store.journal import Journal", "correlate imports store.journal"),
        ("correlate", "from .feed import Feed", "correlate imports feed"),
        ("filter", "if TYPE_CHECKING:\n    from .feed import Feed", "filter imports feed"),
        ("policy", "import netaddr", "a pure module imports netaddr"),
        ("model", "import pyparsing as pp", "a pure module imports pyparsing"),
        ("servers.popa3d", "import re, socket", "a pure module imports socket"),
        ("servers.popa3d", "from ..ledger import Ledger", "servers imports ledger"),
        ("servers.popa3d", "from .courier import SERVER", "one server's file imports another's"),
        ("grammar.tokens", "from ..servers import SERVERS", "grammar imports servers"),
        ("value", "text = open('/etc/passwd').read()", "a pure module calls open()"),
        ("value", "print(1)", "a pure module calls print()"),
        ("stamps", "when = datetime.now()", "a pure module reads a clock, now()"),
        ("stamps", "when = datetime.datetime.utcnow()", "a pure module reads a clock, utcnow()"),
        ("mta.socketmap", "from ..model import Record", "the lookup side imports model"),
        ("mta.serve", "from ..ledger import Ledger", "the lookup side imports ledger"),
        ("store.journal", "from ..ledger import Ledger", "a store knows nothing of ledger"),
    ],
)
def test_a_breach_is_found(name, text, complaint):
    assert any(complaint in broken for broken in breaches(name, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ledger", "from .model import Login\nfrom .value import pack"),
        ("servers.popa3d", "import pyparsing as pp\nfrom ..grammar import Rule"),
        ("feed", "import os, time\nfrom .filter import Filter\nopen('x')"),
        ("mta.serve", "import socket\nfrom ..errors import StoreBusy\nfrom . import lookup"),
        ("store.gdbm", "import dbm.gnu\nfrom ..errors import StoreBusy\nfrom . import files"),
    ],
)
def test_what_is_allowed_is_not_a_breach(name, text):
    assert [] == breaches(name, text)
