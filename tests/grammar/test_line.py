"""Wordings as templates: the same expression as written with `+`."""

import pyparsing as pp
import pytest

from pbs_filter.errors import GrammarError
from pbs_filter.grammar import ADDRESS, HOST, NUMBER, PORT, TEXT, USER, line, name_before
from pbs_filter.grammar.compiler import translate

TLS = pp.one_of(["ssl", "tls"])


@pytest.mark.parametrize(
    ("template", "chain"),
    [
        (line("in"), pp.Literal("in")),
        (line("in {user}"), "in " + USER("user")),
        (
            line("{user}@{host} [{address}]:{port} {number} {text}"),
            name_before("@")("user")
            + "@"
            + HOST
            + " ["
            + ADDRESS("address")
            + "]:"
            + PORT
            + " "
            + NUMBER
            + " "
            + TEXT,
        ),
        (line("a{tls?}b", tls=TLS), "a" + pp.Opt(TLS) + "b"),
        (line("{{{user}}}"), "{" + name_before("}")("user") + "}"),
        (line("{user}", user=TLS("user")), TLS("user")),
        (line("a{rest}", rest=line("b{tls}", tls=TLS)), "a" + ("b" + TLS)),
        (line("a\n{user}"), "a\n" + USER("user")),
        (line("a '{user}' at {port}"), "a '" + name_before("' at ")("user") + "' at " + PORT),
        (line("{user}{port}"), USER("user") + PORT),
    ],
)
def test_a_template_compiles_to_what_the_chain_does(template, chain):
    assert translate(chain) == translate(template)
    assert translate(chain, marked=True).text == translate(template, marked=True).text


@pytest.mark.parametrize(
    ("wording", "words"),
    [
        ("in {who}", ["'in {who}'", "'who'", "user, address, number, port, host, text, tls"]),
        ("in {", ["'in {'", "lone '{'", "{{"]),
        ("in }", ["lone '}'", "}}"]),
        ("in {User}", ["lone '{'"]),
        ("in {user!}", ["lone '{'"]),
    ],
)
def test_what_is_wrong_with_a_template_is_told(wording, words):
    with pytest.raises(GrammarError) as raised:
        line(wording, tls=TLS)
    for word in words:
        assert word in str(raised.value)
