"""Samples written as a log: what each line must give stands below it."""

import pytest

from pbs_filter.errors import GrammarError
from pbs_filter.grammar import Sample, samples
from pbs_filter.model import Accepted, Connected, Ended, Ignored, Refused

LINE = "pop3d[7]: LOGIN, user=bob, ip=[192.0.2.7]"


def one(verdict, line=LINE):
    (sample,) = samples(f"{line}\n    {verdict}\n")
    assert line == sample.line
    return sample


@pytest.mark.parametrize(
    ("verdict", "observation"),
    [
        ("-> ignored", Ignored()),
        ("-> refused", Refused()),
        ("-> refused user=bob address=192.0.2.7", Refused(user="bob", address="192.0.2.7")),
        ("-> connected address=::1 session=7", Connected(address="::1", session="7")),
        (
            "-> accepted user=bob address=192.0.2.7 protocol=pop3 session=bob,7 local=::1",
            Accepted(
                user="bob", address="192.0.2.7", protocol="pop3", session="bob,7", local="::1"
            ),
        ),
        ("-> accepted user= session=7", Accepted(user="", session="7")),
        ("-> ended user=a b=c session=7", Ended(user="a b=c", session="7")),
    ],
)
def test_a_verdict_names_the_observation_and_its_fields(verdict, observation):
    assert Sample(line=LINE, observation=observation) == one(verdict)


def test_a_line_that_must_not_be_read_has_its_reason():
    sample = one("not: text after the end -> ignored")
    assert (None, "text after the end -> ignored") == (sample.observation, sample.because)


def test_a_line_keeps_its_blanks_and_tabs():
    assert "popd: a\tb " == one("-> ignored", "popd: a\tb ").line


def test_comments_and_empty_lines_mean_nothing():
    assert (
        Sample(line="a: b", observation=Ignored()),
        Sample(line="a: c", observation=None, because="why"),
    ) == samples("\n# before\na: b\n# between\n  -> ignored\n\na: c\n\tnot: why\n")
    assert () == samples("")


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        ("a: b", ["'a: b'", "missing", "-> accepted", "not: why"]),
        ("a: b\na: c\n    -> ignored", ["'a: b'", "missing"]),
        ("    -> ignored", ["'-> ignored'", "no line"]),
        ("a: b\n    -> ignored\n    not: why", ["'not: why'", "no line"]),
        ("a: b\n    ignored", ["'a: b'", "'ignored'", "connected, accepted, refused"]),
        ("a: b\n    -> login user=bob", ["'-> login user=bob'", "connected, accepted"]),
        ("a: b\n    -> accepted bob", ["'-> accepted bob'", "user=, address="]),
        ("a: b\n    -> refused users=bob", ["'-> refused users=bob'", "user=, address="]),
        ("a: b\n    not:", ["'not:'", "not: why"]),
        ("a: b\n    -> accepted address=::1", ["'a: b'", "user"]),
        ("a: b\n    -> refused protocol=pop3", ["'a: b'", "protocol"]),
        ("a: b\n    -> refused user=a user=b", ["'a: b'", "user", "twice"]),
    ],
)
def test_what_is_wrong_is_told_with_the_line_and_what_to_write(transcript, words):
    with pytest.raises(GrammarError) as raised:
        samples(transcript)
    for word in words:
        assert word in str(raised.value)
