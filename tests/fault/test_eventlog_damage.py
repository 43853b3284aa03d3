"""Bytes that change at rest: every flipped bit is found and located, and what lies beside it stays readable."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headwater.eventlog.blocks import Block, walk
from headwater.eventlog.contract import Topic
from headwater.eventlog.mark import MARK_FILE
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.eventlog.verify import verify
from headwater.spec.event import Damage, Record

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOTAL = 1_000


def opened(directory: Path) -> SegmentLog:
    return SegmentLog.open(directory, segment_bytes=9_000, disk_free_bytes_min=0, disk_reserved_bytes=0)


def numbered(first: int, count: int) -> list[Record]:
    return [Record(f"id-{n}", f'{{"messageId":"id-{n}"}}'.encode()) for n in range(first, first + count)]


async def fill(directory: Path) -> None:
    log = opened(directory)
    for first in range(0, TOTAL, 5):
        await log.append(Topic.EVENTS, "src", NOON, numbered(first, 5))
    await log.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "log"))
    assert verify(tmp_path / "log").damage == ()
    assert verify(tmp_path / "log").records[Topic.EVENTS] == TOTAL
    return tmp_path / "log"


def segment_files(log: Path) -> list[Path]:
    return sorted((log / "events").glob("*.segment"))


def read_all(directory: Path) -> tuple[list[int], list[Damage]]:
    """Return the numbers in the ids that can be read, and what the reader reports."""
    reader, cursor = SegmentReader(directory), 0
    numbers, damage = list[int](), list[Damage]()
    while (batch := reader.read(Topic.EVENTS, cursor, records_max=100)).next_cursor > cursor:
        numbers += [int(event.message_id[3:]) for event in batch.events()]
        damage += batch.damage
        cursor = batch.next_cursor
    reader.close()
    return numbers, damage


def check_the_rest_is_read(directory: Path, lost_max: int) -> None:
    numbers, damage = read_all(directory)
    lost = {seq for stretch in damage for seq in range(stretch.first, stretch.last + 1)}
    assert numbers == [number for number in range(TOTAL) if number not in lost]
    assert len(lost) <= lost_max


def blocks_of(path: Path) -> list[Block]:
    return [piece for piece in walk(path.read_bytes()) if isinstance(piece, Block)]


@pytest.mark.parametrize("flips", [500, pytest.param(10_000, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])])
def test_every_flipped_bit_is_found_and_the_rest_stays_readable(log: Path, flips: int) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    files = [*segment_files(log), *([log / "events" / MARK_FILE] * 2)]
    for _ in range(flips):
        path = chance.choice(files)
        whole = path.read_bytes()
        bit = chance.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        (damage, *_) = verify(log).damage
        assert damage.file == str(path)
        if path.suffix == ".segment":
            hit = next(block for block in walk(whole) if isinstance(block, Block) and bit // 8 < block.end)
            assert damage[:2] == (hit.header.first_seq, hit.header.next_seq - 1)
            assert damage.offset == hit.offset
            check_the_rest_is_read(log, 5)
        path.write_bytes(whole)
    assert verify(log).damage == ()


@pytest.mark.parametrize("cut", [1, 7, 100, 5_000])
@pytest.mark.parametrize("place", [0, 1, -1], ids=["first", "middle", "last"])
async def test_a_segment_cut_short_is_reported_and_writing_goes_on_behind(log: Path, cut: int, place: int) -> None:
    path = segment_files(log)[place]
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(max(size - cut, 0))
    (damage,) = verify(log).damage
    assert (damage.file, damage.last - damage.first + 1 >= 5) == (str(path), True)
    check_the_rest_is_read(log, TOTAL)
    again = opened(log)
    assert (again.end(Topic.EVENTS), len(again.damage)) == (TOTAL, 1 if place == -1 else 0)
    assert (await again.append(Topic.EVENTS, "src", NOON, numbered(TOTAL, 5))).first_seq == TOTAL
    await again.close()
    numbers, found = read_all(log)
    assert numbers[-5:] == list(range(TOTAL, TOTAL + 5))
    assert [(item.first, item.last) for item in found] == [(damage.first, damage.last)]


def test_a_zeroed_block_is_found(log: Path) -> None:
    for path in segment_files(log):
        whole = path.read_bytes()
        block = blocks_of(path)[3]
        path.write_bytes(whole[: block.offset] + bytes(block.end - block.offset) + whole[block.end :])
        (damage,) = verify(log).damage
        assert damage[:4] == (block.header.first_seq, block.header.next_seq - 1, str(path), block.offset)
        check_the_rest_is_read(log, 5)
        path.write_bytes(whole)


def test_a_repeated_block_is_found_and_read_once(log: Path) -> None:
    path = segment_files(log)[1]
    whole, block = path.read_bytes(), blocks_of(path)[3]
    path.write_bytes(whole[: block.end] + whole[block.offset :])
    assert verify(log).damage[0][2:4] == (str(path), block.end)
    check_the_rest_is_read(log, 0)


def test_swapped_blocks_are_found(log: Path) -> None:
    path = segment_files(log)[1]
    whole, (a, b) = path.read_bytes(), blocks_of(path)[3:5]
    path.write_bytes(whole[: a.offset] + whole[b.offset : b.end] + whole[a.offset : a.end] + whole[b.end :])
    assert verify(log).damage[0][:2] == (a.header.first_seq, a.header.next_seq - 1)
    check_the_rest_is_read(log, 5)


def test_a_block_that_another_write_left_is_found_by_the_chain(log: Path, tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "other"))
    path, stranger = segment_files(log)[1], segment_files(tmp_path / "other")[1]
    whole, block = path.read_bytes(), blocks_of(path)[3]
    path.write_bytes(whole[: block.offset] + stranger.read_bytes()[block.offset : block.end] + whole[block.end :])
    assert "chain" in verify(log).damage[0].reason


@pytest.mark.parametrize("place", [0, 1, -1], ids=["first", "middle", "last"])
async def test_a_deleted_segment_is_reported_and_its_sequences_are_not_used_again(log: Path, place: int) -> None:
    path = segment_files(log)[place]
    blocks = blocks_of(path)
    first, last = blocks[0].header.first_seq, blocks[-1].header.next_seq - 1
    path.unlink()
    assert [damage[:2] for damage in verify(log).damage] == [(first, last)]
    check_the_rest_is_read(log, last - first + 1)
    again = opened(log)
    assert again.end(Topic.EVENTS) == TOTAL
    assert len(again.damage) == (0 if place == 1 else 1)  # one in the middle is met by readers and by verify
    await again.close()


async def test_a_log_that_lost_every_segment_never_starts_empty(log: Path) -> None:
    for path in segment_files(log):
        path.unlink()
    assert [damage[:2] for damage in verify(log).damage] == [(0, TOTAL - 1)]
    again = opened(log)
    assert again.end(Topic.EVENTS) == TOTAL
    assert [again.damage[0].first, again.damage[-1].last] == [0, TOTAL - 1]
    await again.close()


@pytest.mark.parametrize("harm", ["deleted", "zeroed", "rubbish", "short"])
async def test_a_lost_high_water_mark_is_reported_and_nothing_else_is_lost(log: Path, harm: str) -> None:
    mark = log / "events" / MARK_FILE
    match harm:
        case "deleted":
            mark.unlink()
        case "zeroed":
            mark.write_bytes(bytes(mark.stat().st_size))
        case "rubbish":
            mark.write_bytes(random.Random(1).randbytes(mark.stat().st_size))
        case _:
            mark.write_bytes(mark.read_bytes()[:100])
    assert verify(log).damage[0].file == str(mark)
    again = opened(log)
    assert "high-water mark" in again.damage[0].reason
    await again.close()
    assert read_all(log) == (list(range(TOTAL)), [])
    assert verify(log).damage == ()


@pytest.mark.parametrize("tail", [b"\x00", b"\xff" * 100, bytes(5_000), b"\xffHWb\x01" + bytes(43)])
async def test_a_torn_tail_beyond_the_mark_is_cut(log: Path, tail: bytes) -> None:
    path = segment_files(log)[-1]
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    again = opened(log)
    assert (again.damage, again.end(Topic.EVENTS)) == ((), TOTAL)
    await again.close()
    assert path.read_bytes() == whole


async def test_an_intact_block_beyond_a_stale_mark_is_kept(log: Path) -> None:
    mark = log / "events" / MARK_FILE
    stale = mark.read_bytes()
    later = opened(log)
    await later.append(Topic.EVENTS, "src", NOON, numbered(TOTAL, 5))
    await later.close()
    mark.write_bytes(stale)
    again = opened(log)
    assert (again.damage, again.end(Topic.EVENTS)) == ((), TOTAL + 5)
    assert (await again.append(Topic.EVENTS, "src", NOON, numbered(TOTAL, 5))).count == 0
    await again.close()


async def test_damage_inside_the_last_segment_is_left_alone_and_writing_goes_on_behind(log: Path) -> None:
    path = segment_files(log)[-1]
    harmed = bytearray(path.read_bytes())
    block = blocks_of(path)[2]
    harmed[block.offset + 60] ^= 1
    path.write_bytes(harmed)
    again = opened(log)
    assert [damage[:4] for damage in again.damage] == [
        (block.header.first_seq, block.header.next_seq - 1, str(path), block.offset)
    ]
    await again.append(Topic.EVENTS, "src", NOON, numbered(TOTAL, 5))
    await again.close()
    assert path.read_bytes() == harmed
    assert read_all(log)[0][-5:] == list(range(TOTAL, TOTAL + 5))


@pytest.mark.parametrize("name", ["ids.sqlite", "ids.sqlite-wal", "ids.filter"])
@pytest.mark.parametrize("harm", ["deleted", "zeroed", "short"])
async def test_the_index_of_ids_is_built_again_when_it_is_lost(log: Path, name: str, harm: str) -> None:
    path = log / name
    if harm == "deleted":
        path.unlink(missing_ok=True)
    else:
        whole = path.read_bytes() if path.exists() else b"\x00" * 100
        path.write_bytes(bytes(len(whole)) if harm == "zeroed" else whole[: len(whole) // 2])
    again = opened(log)
    for first in range(0, TOTAL, 100):
        assert (await again.append(Topic.EVENTS, "src", NOON, numbered(first, 100))).count == 0
    await again.close()
