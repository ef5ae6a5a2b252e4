"""The compiled pattern means exactly what pyparsing means by the expression."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyparsing as pp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbs_filter.errors import GrammarError
from pbs_filter.grammar import ADDRESS, NUMBER, USER, WORD, Rule, token
from pbs_filter.grammar.compiler import Translator, prepared, reading_of, translate
from pbs_filter.grammar.prefixes import literal_prefixes
from pbs_filter.grammar.reading import among, behind, can_begin_alike, compiled, is_of_tls
from pbs_filter.servers import SERVERS
from tests.grammar.grammar_strings import read_by, wounded

RULES = [
    pytest.param(rule, id=f"{server.name}-{rule.name}")
    for server in SERVERS
    for rule in server.rules
]

Reads = Callable[[str], dict[str, str] | None]
"""Text -> its named results; None if it is not read to its end."""


def by_pyparsing(expression: pp.ParserElement) -> Reads:
    whole = prepared(expression)

    def read(text: str) -> dict[str, str] | None:
        try:
            found = whole.parse_string(text, parse_all=True).as_dict()
        except pp.ParseException:
            return None
        return {name: value for name, value in found.items() if value is not None}

    return read


def by_pattern(expression: pp.ParserElement, *, marked: bool = False, tls: bool = False) -> Reads:
    pattern = translate(expression, marked=marked, tls=tls)
    fullmatch = pattern.compile().fullmatch

    def read(text: str) -> dict[str, str] | None:
        match = fullmatch(text)
        if match is None:
            return None
        results = {}
        for name, groups in pattern.groups.items():
            texts = [match[group] for group in groups if match[group] is not None]
            assert len(texts) <= 1, f"two groups of {name} took part"
            if texts:
                results[name] = texts[0]
        return results

    return read


@pytest.mark.parametrize("rule", RULES)
def test_pattern_and_pyparsing_agree(rule: Rule) -> None:
    """On strings of every rule's grammar, whole and wounded: same verdict, same results."""
    expected, compiled = by_pyparsing(rule.expression), by_pattern(rule.expression)
    marked = by_pattern(rule.expression, marked=True)
    with_tls = by_pattern(rule.expression, tls=True)
    begins = tuple(literal_prefixes(rule.expression))
    messages = [sample.parts()[2] for sample in rule.samples if sample.observation is not None]
    texts = wounded(read_by(rule.expression, messages))

    @settings(max_examples=50, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        text = data.draw(texts)
        results = expected(text)
        assert results == with_tls(text)
        if results is not None:
            results = {name: results[name] for name in results if not is_of_tls(name)}
        assert results == compiled(text)
        assert results == marked(text)
        assert results is None or text.startswith(begins)

    agree()


A, B, C = map(pp.Literal, "abc")

CASES: list[tuple[pp.ParserElement, str, dict[str, str] | None]] = [
    # An alternative that fitted is not taken back,
    ((pp.Literal("a") | "ab") + "c", "ac", {}),
    ((pp.Literal("a") | "ab") + "c", "abc", None),
    ((pp.Literal("ab") | "a") + "c", "abc", {}),
    # nor is an optional part,
    (pp.Opt("a") + "ab", "aab", {}),
    (pp.Opt("a") + "ab", "ab", None),
    (pp.Opt(pp.Literal("a") + "b") + "ac", "ac", {}),
    # nor a token.
    (pp.Regex("[a-z]+") + "z", "abz", None),
    (pp.Regex("[a-y]+") + "z", "abz", {}),
    # One name in several alternatives, and in shapes of their own.
    ("x" + NUMBER("n") | "y=" + WORD("a-f", 3)("n"), "x12", {"n": "12"}),
    ("x" + NUMBER("n") | "y=" + WORD("a-f", 3)("n"), "y=abc", {"n": "abc"}),
    # What fitted on a way that was given up is not a result.
    ((A + NUMBER("n") + "!") | (A + NUMBER + "?"), "a1?", {}),
    (pp.Opt(A + NUMBER("n") + "!") + "a" + NUMBER("m"), "a1", {"m": "1"}),
    # Results of several tokens in one.
    (pp.Combine(NUMBER + "." + NUMBER)("version"), "1.2", {"version": "1.2"}),
    (pp.one_of(["imap", "imaps", "pop3"])("protocol"), "imaps", {"protocol": "imaps"}),
    (pp.MatchFirst([pp.Literal("imap"), pp.Literal("pop3")])("p"), "pop3", {"p": "pop3"}),
    (pp.Regex("(?P<left>[0-9]+)-(?P<right>[0-9]+)"), "1-2", {"left": "1", "right": "2"}),
    (pp.Regex(r"[(?P<x>]\(?P<a>(?P<y>[0-9])"), "((P<a>1", {"y": "1"}),
    # White space is neither skipped nor changed, at any place.
    (A + B, "a b", None),
    (A + " b", "a b", {}),
    (A + B, " ab", None),
    (A + B, "ab ", None),
    (A + B, "ab\n", None),
    (A + WORD(r"\t", 3)("t") + "b", "a\tb", {"t": "\t"}),
    (pp.Empty() + "a", " a", None),
    # Looking ahead takes nothing.
    (~pp.Literal("ab") + pp.Regex("[a-z]+"), "abc", None),
    (~pp.Literal("ab") + pp.Regex("[a-z]+"), "acb", {}),
    (pp.FollowedBy("ab") + pp.Regex("[a-z]+")("w"), "abc", {"w": "abc"}),
    ((A + pp.StringEnd()) | (A + B), "ab", {}),
    # Flags stay inside their token.
    (pp.Regex("user", flags=re.IGNORECASE) + "x", "USERx", {}),
    (pp.Regex("user", flags=re.IGNORECASE) + "x", "USERX", None),
    (pp.Regex("a b # c", flags=re.VERBOSE) + "d", "abd", {}),
    # Any order, each at most once, what is not optional once.
    ((A + NUMBER("n")) & pp.Opt(B) & pp.Opt(C), "ca1b", {"n": "1"}),
    ((A + NUMBER("n")) & pp.Opt(B) & pp.Opt(C), "a1", {"n": "1"}),
    ((A + NUMBER("n")) & pp.Opt(B) & pp.Opt(C), "bc", None),
    ((A + NUMBER("n")) & pp.Opt(B) & pp.Opt(C), "a1bb", None),
    ((A + NUMBER("n")) & pp.Opt(B) & pp.Opt(C), "a1a2", None),
    ("(" + (pp.Opt(A + NUMBER("n")) & pp.Opt(B)) + "a2)", "(a1a2)", {"n": "1"}),
    (pp.Each([pp.Opt(A), B]) + "c", "bac", {}),
    ((A("x") + NUMBER) & pp.Opt(B), "ba1", {"x": "a"}),
]


@pytest.mark.parametrize(("expression", "text", "results"), CASES)
def test_meaning_is_pyparsings(
    expression: pp.ParserElement, text: str, results: dict[str, str] | None
) -> None:
    assert results == by_pattern(expression)(text)
    assert results == by_pyparsing(expression)(text)


def _acting() -> pp.ParserElement:
    return pp.Literal("a").add_parse_action(lambda tokens: None)


REFUSED = [
    (pp.Word("ab"), "Word"),
    (pp.Keyword("a"), "Keyword"),
    (pp.CaselessLiteral("a"), "CaselessLiteral"),
    (A[1, ...], "OneOrMore"),
    (pp.Group(A), "Group"),
    (pp.Suppress(A), "Suppress"),
    (pp.Forward() << A, "Forward"),
    (A ^ B, "Or"),
    (A + pp.SkipTo(B), "SkipTo"),
    (A - B, "_ErrorStop"),
    (_acting(), "parse action"),
    (pp.Opt(A, default="x"), "default"),
    (NUMBER("n*"), "collects"),
    (pp.Regex("(a)"), "capture groups"),
    (pp.Regex(r"(?P<x>a)\1"), "reference"),
    (pp.Regex("(?P<x>a)")("y"), "loses"),
    (pp.Regex("a", as_match=True), "match"),
    ((A + B)("x"), "one token"),
    (pp.Opt(A)("x"), "one token"),
    ((A("x") | B)("y"), "one token"),
    (A("x") + B("x"), "twice"),
    (A("x") + pp.Regex("(?P<x>a)"), "twice"),
    (~A("x"), "NotAny"),
    (pp.FollowedBy(A("x")), "FollowedBy"),
    (pp.Combine(A("x") + B), "Combine"),
    (pp.Combine(A + B, adjacent=False), "adjacent"),
    (A & (A + B), "begin alike"),
    (pp.Opt(NUMBER("n") + "x") & pp.Opt(USER("u")), "begin alike"),
    ((A + NUMBER("n")) & (B + NUMBER("n")), "two parts"),
]


@pytest.mark.parametrize(("expression", "word"), REFUSED)
def test_what_the_compiler_does_not_know_is_an_error_that_says_so(
    expression: pp.ParserElement, word: str
) -> None:
    with pytest.raises(GrammarError, match=re.escape(word)):
        translate(expression)


def test_a_token_that_is_no_pattern_by_itself_is_an_error() -> None:
    with pytest.raises(GrammarError, match="complete in itself"):
        translate(pp.Literal("a") + pp.Regex("(?i)b")).compile()


def test_a_shared_token_is_not_changed_by_being_used() -> None:
    before = (USER.resultsName, USER.skipWhitespace, USER.re.pattern)
    expression = USER("user") + " " + ADDRESS("address")
    translate(expression)
    prepared(expression)
    assert before == (USER.resultsName, USER.skipWhitespace, USER.re.pattern)


def test_one_match_tells_that_a_rival_fits_the_line_too() -> None:
    rivals = [pp.Regex("(?P<n>b+)") + NUMBER, A + pp.Regex("(?P<n>[0-4]+)")]
    own = reading_of(A + NUMBER("n"))
    text, rival_fits = among(own, map(reading_of, rivals))
    match = compiled(text).match
    found = {text: match(text) for text in ("a9", "a1", "bb1", "a9x", "a9\n")}
    assert {"a9": None, "a1": ""} == {t: m[rival_fits] for t, m in found.items() if m}
    assert "9" == found["a9"][own.groups["n"][0]]


def test_a_rule_without_rivals_is_read_in_the_same_way() -> None:
    text, rival_fits = among(reading_of(A + NUMBER("n")), [])
    match = compiled(text).match
    assert match("a1")[rival_fits] is None
    assert match("b1") is None


@pytest.mark.parametrize("rule", RULES)
def test_a_text_behind_others_is_what_the_compiler_writes_there(rule: Rule) -> None:
    translator = Translator(False)
    translator.count = 7
    written = translator.of(rule.expression)
    reading = reading_of(rule.expression)
    assert written == behind(reading.text, 7)
    assert translator.count == 7 + reading.group_count


def test_what_looks_like_a_condition_is_left_as_it_is() -> None:
    token = r"[(?(1)]\\(\?(?:x|[^\]]\(\?\(2\))"
    assert token == behind(token, 5)
    assert token + "(?(6)a|b)" == behind(token + "(?(1)a|b)", 5)


BEGINNINGS = [
    (A + B + NUMBER, {"ab"}),
    (A + pp.Opt("x") + NUMBER, {"a", "ax"}),
    ((A | "bc") + NUMBER, {"a", "bc"}),
    (pp.one_of(["imap", "pop3"]) + "-login", {"imap-login", "pop3-login"}),
    (pp.Opt("[" + NUMBER + "] ") + A, {"[", "a"}),
    # Into a token as far as its characters are fixed.
    (pp.Regex("(?>Disconnected|Logged out)(?>[:.]?)"), {"Disconnected", "Logged out"}),
    (pp.Regex(r"a\(b|c(?:d|e)f"), {"a(b", "cdf", "cef"}),
    (pp.Regex("a(?!b)(?<=a)c(?=d)") + "e", {"ace"}),
    (pp.Regex("ab+c"), {"ab"}),
    (pp.Regex("ab?c"), {"a"}),
    (pp.Regex("ab{0,2}c"), {"a"}),
    (pp.Regex("(?:ab)+c"), {"ab"}),
    (pp.Regex("x(?:ab)*c"), {"x"}),
    (pp.Regex("a|"), {"a", ""}),
    (pp.Regex("(a)b"), {""}),
    (pp.Regex("a[)]b"), {"a"}),
    (pp.Regex("(?P<x>ab)c"), {""}),
    (pp.Regex(r"a\db"), {"a"}),
    (pp.Regex("^a"), {""}),
    (pp.Regex("ab", flags=re.IGNORECASE), {""}),
    (pp.Regex("a b", flags=re.VERBOSE), {""}),
    (NUMBER + "x", {""}),
    (~A + "bc", {"bc"}),
    (pp.Combine(A + B) + "c", {"abc"}),
    (A + (pp.Opt(B) & pp.Opt(C)), {"a"}),
    (pp.Empty() + pp.StringEnd(), {""}),
]


@pytest.mark.parametrize(("expression", "expected"), BEGINNINGS)
def test_beginnings_of_an_expression(expression: pp.ParserElement, expected: set[str]) -> None:
    assert expected == literal_prefixes(expression)


def test_too_many_beginnings_are_cut_short_but_stay_sound() -> None:
    digits = pp.one_of([f"{number:02}" for number in range(50)])
    found = literal_prefixes("n" + digits + digits)
    assert len(found) <= 64
    assert all(f"n{a:02}{b:02}".startswith(tuple(found)) for a in range(50) for b in range(50))
    many = pp.one_of([f"{number:03}" for number in range(300)])
    assert {""} == literal_prefixes(many)
    assert {""} == literal_prefixes(
        pp.MatchFirst([pp.Literal(f"{number:03}") for number in range(300)])
    )


def test_texts_that_begin_alike() -> None:
    assert can_begin_alike(frozenset({"ab"}), frozenset({"abc", "x"}))
    assert can_begin_alike(frozenset({""}), frozenset({"x"}))
    assert not can_begin_alike(frozenset({"ab", "b"}), frozenset({"ac", "x"}))


def test_a_token_has_a_name_in_messages() -> None:
    word = token("[a-z]{1,9}+", "a small word")
    with pytest.raises(pp.ParseException, match="a small word"):
        prepared(word).parse_string("1")
