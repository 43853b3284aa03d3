"""The byte format: what goes in comes out, and nothing that changed is taken for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.eventlog.blocks import (
    FIRST_LINK,
    HEADER_BYTES,
    MAGIC,
    Block,
    Entry,
    Flaw,
    block_at,
    encode,
    encode_header,
    frames,
    instant,
    microseconds,
    next_block,
    walk,
)

lines = st.lists(st.text().map(lambda text: text.encode().replace(b"\n", b"") + b"\n"), min_size=1, max_size=5)
entries = st.lists(
    st.builds(
        lambda source, us, duplicates, some: Entry(source.encode(), us, len(some), duplicates, b"".join(some)),
        st.text(max_size=30),
        st.integers(0, 4_102_444_800_000_000),
        st.integers(0, 2**32 - 1),
        lines,
    ),
    min_size=1,
    max_size=5,
)
uint32 = st.integers(0, 2**32 - 1)


def chain(groups: list[list[Entry]]) -> list[tuple[int, bytes]]:
    seq, link, made = 0, FIRST_LINK, []
    for group in groups:
        header, block = encode(group, seq, 1_000, link)
        made.append((seq, block))
        seq, link = header.next_seq, header.link
    return made


@given(entries, st.integers(0, 2**60), st.integers(-(2**62), 2**62), uint32)
def test_a_block_comes_back_as_it_was_written(group: list[Entry], first: int, commit_us: int, previous: int) -> None:
    header, found = encode(group, first, commit_us, previous)
    block = block_at(found)
    assert isinstance(block, Block)
    assert (block.header, block.end) == (header, len(found))
    assert header.next_seq == first + sum(entry.records for entry in group)
    back = [
        Entry(frame.source_id.encode(), microseconds(frame.received_at), frame.count, frame.duplicates, frame.lines)
        for frame in frames(block)
    ]
    assert back == group


@given(entries, st.data())
def test_any_flipped_bit_is_a_flaw(group: list[Entry], data: st.DataObject) -> None:
    _, found = encode(group, 5, 6, 7)
    bit = data.draw(st.integers(0, 8 * len(found) - 1))
    flipped = bytearray(found)
    flipped[bit // 8] ^= 1 << (bit % 8)
    assert isinstance(block_at(bytes(flipped)), Flaw)


@given(entries, st.data())
def test_any_cut_is_a_flaw_that_says_how_much_is_wanted(group: list[Entry], data: st.DataObject) -> None:
    _, found = encode(group, 5, 6, 7)
    flaw = block_at(found[: data.draw(st.integers(0, len(found) - 1))])
    assert isinstance(flaw, Flaw)
    assert flaw.wanted in {HEADER_BYTES, len(found)}


@given(st.lists(entries, min_size=1, max_size=5), st.binary(max_size=200), st.data())
def test_blocks_are_found_again_behind_any_rubbish(
    groups: list[list[Entry]], rubbish: bytes, data: st.DataObject
) -> None:
    made = chain(groups)
    place = data.draw(st.integers(0, len(made)))
    parts = [block for _, block in made]
    pieces = list(walk(b"".join([*parts[:place], rubbish, *parts[place:]])))
    assert [piece.header.first_seq for piece in pieces if isinstance(piece, Block)] == [seq for seq, _ in made]
    flaws = [piece for piece in pieces if isinstance(piece, Flaw)]
    assert [flaw.offset for flaw in flaws] == ([sum(map(len, parts[:place]))] if rubbish else [])


@given(st.binary(max_size=500))
def test_rubbish_is_never_a_block_and_never_an_error(rubbish: bytes) -> None:
    assert isinstance(block_at(rubbish), Flaw)
    assert next_block(MAGIC + rubbish, 0) is None


@given(entries, entries)
def test_a_rewritten_payload_keeps_the_chain(group: list[Entry], other: list[Entry]) -> None:
    header, _ = encode(group, 5, 6, 7)
    rewritten, _ = encode(other, 5, 6, 7)
    kept = header._replace(payload_bytes=rewritten.payload_bytes, payload_crc=rewritten.payload_crc)
    assert kept.link == header.link
    assert len(encode_header(kept)) == HEADER_BYTES


@given(st.datetimes(timezones=st.just(instant(0).tzinfo)))  # type: ignore[arg-type]
def test_an_instant_keeps_its_microseconds(moment) -> None:
    assert instant(microseconds(moment)) == moment
