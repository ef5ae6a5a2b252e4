"""The bytes at stdin and stdout: blocks of whole lines, one reply a line."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_filter.service.omprog import KEEP_ALIVE, OK, Splitter, trouble
from pbs_filter.syslog.records import MAX_LINE_BYTES


def feed_all(splitter: Splitter, pieces: list[bytes]) -> tuple[bytes, int]:
    blocks, ended = b"", 0
    for piece in pieces:
        block, overlong = splitter.feed(piece)
        assert block == b"" or block.endswith(b"\n")
        blocks += block
        ended += overlong
    return blocks, ended


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_lines_cut_anywhere_come_out_whole_and_only_lf_ends_one(data, cuts):
    places = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    splitter = Splitter()
    whole = data[: data.rfind(b"\n") + 1]
    assert (whole, 0) == feed_all(splitter, pieces)
    assert len(data) - len(whole) == splitter.unfinished()


@pytest.mark.parametrize("size", [2 * MAX_LINE_BYTES, 5 * MAX_LINE_BYTES])
@pytest.mark.parametrize("piece", [4096, 65536, 10**7])
def test_an_overlong_line_is_dropped_counted_and_not_kept(size, piece):
    data = b"a\n" + b"x" * size + b"\nb\nc"
    pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
    splitter = Splitter()
    blocks, ended = feed_all(splitter, pieces)
    if piece < 10**7:
        assert (b"a\nb\n", 1) == (blocks, ended)
        assert 1 == splitter.dropped
    else:
        # In one read it is part of the block: `records.read` refuses it there.
        assert (data[:-1], 0) == (blocks, ended)
    assert 1 == splitter.unfinished()


def test_memory_for_an_endless_line_is_bounded():
    splitter = Splitter()
    for _ in range(100):
        assert (b"", 0) == splitter.feed(b"y" * 65536)
        assert splitter.unfinished() <= MAX_LINE_BYTES + 65536


@given(st.text())
def test_whatever_the_trouble_its_reply_is_one_line_that_is_not_ok(text):
    reply = trouble(text)
    assert reply.startswith(b"Error: ")
    assert 1 == reply.count(b"\n")
    assert reply.endswith(b"\n")
    assert len(reply) <= 210
    assert all(0x20 <= byte <= 0x7E for byte in reply[:-1])


def test_the_words_of_the_protocol():
    assert b"OK\n" == OK
    assert b"." == KEEP_ALIVE
