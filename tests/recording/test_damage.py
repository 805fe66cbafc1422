"""Recordings that are cut, damaged, hostile, or from the future."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.packed import tables
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording import blocks, index
from aperture_tui.recording.blocks import MAX_BLOCK, MAX_JSON, Block, BlockType, Cut, file_header, pack, scan
from aperture_tui.recording.reader import Reader, RecordingError
from aperture_tui.recording.replay import replay
from aperture_tui.recording.writer import Writer
from tests.recording.sample import GOOD, STACK, blocks_of, everything, small
from tests.store.conformance import SH
from tests.store.facts import T0, Fact, batch_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.aperture"


class TestDamage:
    def test_cut_at_every_byte(self, path: Path) -> None:
        """The end is missing, as after a crash: what is before it is whole, and what is missing is said."""
        data = GOOD
        first = len(file_header({})) - 2 + int.from_bytes(data[12:16], "little")
        weights = []
        for length in range(len(data)):
            path.write_bytes(data[:length])
            if length < first:
                with pytest.raises(RecordingError):
                    Reader(path)
                continue
            got, reader = everything(path)
            assert not reader.complete
            assert reader.damage.blocks == reader.damage.events == reader.damage.skipped_bytes == 0
            assert bool(reader.damage.truncated_bytes) == ("cut off" in reader.health().message)
            weights.append(sum(got.values()))
        assert weights == sorted(weights)
        assert set(weights) == {0, 2, 4}

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_flipped_bits_are_never_a_crash_and_never_a_wrong_answer(self, data: st.DataObject) -> None:
        good = GOOD
        flips = data.draw(st.lists(st.integers(0, len(good) * 8 - 1), min_size=1, max_size=6))
        bad = bytearray(good)
        for bit in flips:
            bad[bit // 8] ^= 1 << bit % 8
        with tempfile.NamedTemporaryFile() as file:
            file.write(bad)
            file.flush()
            try:
                got, reader = everything(Path(file.name))
            except RecordingError:
                return
        assert set(got) <= {(*STACK, Frame("f0")), (*STACK, Frame("f1"))}
        if bytes(bad) != good:
            assert reader.damage.message or not reader.complete

    def test_a_damaged_block_costs_that_block(self, path: Path) -> None:
        data = bytearray(GOOD)
        found = blocks_of(GOOD)
        first_events = next(b for b in found if b.kind == BlockType.EVENTS)
        data[first_events.offset + 30] ^= 1
        path.write_bytes(data)
        got, reader = everything(path)
        assert got == {(*STACK, Frame("f1")): 2}
        assert (reader.damage.blocks, reader.complete) == (1, True)
        assert reader.health().lost == {"damaged blocks": 1}

    @pytest.mark.parametrize("closed", [True, False])
    def test_a_damaged_length_costs_a_block_and_without_index_the_bytes_to_the_next(
        self, path: Path, closed: bool
    ) -> None:
        found = blocks_of(GOOD)
        end = len(GOOD) if closed else next(b for b in found if b.kind == BlockType.INDEX).offset
        first, second = (b for b in found if b.kind == BlockType.EVENTS)
        data = bytearray(GOOD[:end] if closed else GOOD[:end] + GOOD[second.offset : second.end])
        data[first.offset + 8] ^= 0xFF
        path.write_bytes(data)
        got, reader = everything(path)
        assert got == ({(*STACK, Frame("f1")): 2} if closed else {})
        assert (reader.damage.blocks, bool(reader.damage.skipped_bytes)) == (int(closed), not closed)

    def test_a_damaged_index_costs_nothing_but_is_said(self, path: Path) -> None:
        for block in (b for b in blocks_of(GOOD) if b.kind in (BlockType.INDEX, BlockType.END)):
            data = bytearray(GOOD)
            data[block.offset + 30] ^= 1
            path.write_bytes(data)
            got, reader = everything(path)
            assert sum(got.values()) == 4
            assert (reader.damage.blocks, reader.damage.skipped_bytes) == (1, 0)

    def test_events_whose_symbols_are_gone_are_counted_not_guessed(self, path: Path) -> None:
        symbols, writer = Symbols(), Writer(path)
        for i in range(3):
            writer.append(batch_of([Fact(T0, SH, stack=(*STACK, Frame(f"f{i}")))], symbols))
            writer._flush()
        writer.append(batch_of([Fact(T0, SH, stack=STACK)], symbols))
        writer.close()
        data = bytearray(path.read_bytes())
        second = [b for b in blocks_of(bytes(data)) if b.kind == BlockType.SYMBOLS][1]
        data[second.offset + 30] ^= 1
        path.write_bytes(data)
        got, reader = everything(path)
        assert got == {(*STACK, Frame("f0")): 1, STACK: 1}
        assert reader.damage.events == 2
        assert "2 events without their symbols" in reader.damage.message

    def test_the_marker_inside_of_data_is_no_block(self, path: Path) -> None:
        path.write_bytes(file_header({}) + b"ApBk" * 1000 + pack(BlockType.HOSTS, b"[]") + b"ApBk" * 10)
        with Reader(path) as reader:
            assert len(list(reader.contents())) == 1
        assert reader.damage.skipped_bytes == 4000
        assert reader.damage.truncated_bytes == 40

    def test_a_gap_longer_than_one_read_is_crossed(self) -> None:
        junk = b"x" * ((1 << 20) - 10)
        file = io.BytesIO(junk + pack(BlockType.HOSTS, b"[]"))
        cut, block = scan(file)
        assert cut == Cut(0, len(junk), False)
        assert isinstance(block, Block)
        assert block.payload == b"[]"


class TestStrangers:
    def test_other_files_are_told_apart(self, path: Path) -> None:
        for data in (b"", b"#!/bin/sh\n", b"\x89APE", b"\x7fELF" * 100):
            path.write_bytes(data)
            with pytest.raises(RecordingError, match="not a recording"):
                Reader(path)

    def test_a_newer_format_says_so(self, path: Path) -> None:
        path.write_bytes(GOOD[:8] + struct.pack("<I", 3) + GOOD[12:])
        with pytest.raises(RecordingError, match=r"made by a newer aperture \(format 3.*upgrade"):
            Reader(path)

    @pytest.mark.parametrize("version", [0, 1001, 1287061571])
    def test_a_format_that_there_will_not_be_is_damage_and_not_the_future(self, path: Path, version: int) -> None:
        path.write_bytes(GOOD[:8] + struct.pack("<I", version) + GOOD[12:])
        with pytest.raises(RecordingError, match="the header of this recording is damaged"):
            Reader(path)

    def test_a_file_that_ends_within_its_header_was_cut_and_is_not_damaged(self, path: Path) -> None:
        for length in (8, 19, 20, 21):
            path.write_bytes(GOOD[:length])
            with pytest.raises(RecordingError, match="cut short within its header"):
                Reader(path)

    @pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b'{"a": NaN}'])
    def test_a_header_that_is_none(self, path: Path, text: bytes) -> None:
        path.write_bytes(GOOD[:12] + struct.pack("<II", len(text), zlib.crc32(text)) + text)
        with pytest.raises(RecordingError, match="header"):
            Reader(path)

    def test_an_unknown_block_is_passed_over_and_said(self, path: Path) -> None:
        block = bytearray(pack(BlockType.HOSTS, b"new things"))
        block[4] = 99
        block[20:24] = zlib.crc32(block[:20]).to_bytes(4, "little")
        path.write_bytes(GOOD + block)
        got, reader = everything(path)
        assert sum(got.values()) == 4
        assert reader.damage.unknown_blocks == 1

    def test_what_looks_like_an_index_is_not_looked_for_for_ever(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each of these heads claims the same megabyte behind them: tried one by one, that is twenty gigabytes."""
        fields = struct.pack("<4sBBHIII", b"ApBk", BlockType.INDEX, 0, 0, 1 << 20, 1 << 20, 0)
        head = fields + zlib.crc32(fields).to_bytes(4, "little")
        path.write_bytes(GOOD[: blocks_of(GOOD)[-2].offset] + head * 20_000 + bytes(1 << 20))
        tried: list[int] = []
        block_at = index.block_at
        monkeypatch.setattr(index, "block_at", lambda file, at: tried.append(at) or block_at(file, at))
        got, reader = everything(path)
        assert len(tried) < 200
        assert sum(got.values()) == 4
        assert reader.damage.message

    @pytest.mark.parametrize("mark", [b"ApBk", b"ApBk\x06", b"ApBk\x06" + bytes(11)], ids=["any", "index", "short"])
    def test_marks_alone_are_looked_at_together(self, path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes) -> None:
        """Twenty megabytes of them took a quarter of a minute, one by one."""
        path.write_bytes(GOOD[: blocks_of(GOOD)[-2].offset] + mark * ((2 << 20) // len(mark)))
        looked: list[bytes] = []
        lengths = blocks._lengths
        monkeypatch.setattr(blocks, "_lengths", lambda fields: looked.append(fields) or lengths(fields))
        got, reader = everything(path)
        assert len(looked) < 100
        assert sum(got.values()) == 4
        assert reader.damage.truncated_bytes >= (2 << 20) - 20

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from([b"ApBk", b"ApBk\x06", b"Ap", b"\x00" * 9, b"!", b"v", b"i"]), max_size=30))
    def test_headers_found_together_are_those_found_one_by_one(self, parts: list[bytes]) -> None:
        real = {b"!": pack(BlockType.HOSTS, b"[]"), b"v": pack(BlockType.HOSTS, bytes(99)), b"i": GOOD[-32:]}
        window = b"".join(real.get(part, part) for part in parts)
        one_by_one = [at for at in range(len(window)) if blocks._lengths(window[at : at + blocks.HEADER])]
        assert blocks.headers(window).tolist() == one_by_one
        of_end = [at for at in one_by_one if window[at + 4] == BlockType.END]
        assert blocks.headers(window, b"ApBk" + bytes([BlockType.END])).tolist() == of_end

    def test_gaps_without_end_are_one(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "_MOST_CUTS", 3)
        path.write_bytes(file_header({}) + (pack(BlockType.HOSTS, b"[]") + b"gap") * 10)
        with Reader(path) as reader:
            assert len(list(reader.contents())) == 3
        rest = 7 * (len(pack(BlockType.HOSTS, b"[]")) + 3)
        assert (reader.damage.skipped_bytes, reader.damage.truncated_bytes) == (9 + rest, 0)

    def test_blocks_that_are_made_to_be_many_are_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Millions of them, with nothing in them."""
        monkeypatch.setattr(index, "_MANY", 20)
        path.write_bytes(file_header({}) + pack(BlockType.HOSTS, b"") * 21)
        with pytest.raises(RecordingError, match=r"x\.aperture: not a recording of aperture: 21 blocks in 504 bytes"):
            Reader(path)

    def test_bombs_in_a_row_are_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each is no larger than a block may be; a megabyte of them took half a minute."""
        monkeypatch.setattr(index, "_UNPACKED", 1 << 20)
        path.write_bytes(file_header({}) + pack(BlockType.EVENTS, bytes(1 << 20)) * 5)
        with pytest.raises(RecordingError, match="what is packed in it has no end"):
            Reader(path)

    def test_an_index_of_links_alone_is_not_followed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(index, "_MAX_CHAIN", 5)
        data, before = GOOD[: blocks_of(GOOD)[-2].offset], 0
        for _ in range(7):
            data, before = data + pack(BlockType.INDEX, before.to_bytes(8, "little")), len(data)
        path.write_bytes(data + pack(BlockType.END, before.to_bytes(8, "little")))
        assert sum(everything(path)[0].values()) == 4, "by its blocks"

    def test_a_damaged_block_of_a_file_that_was_not_closed_is_said_at_once(self, path: Path) -> None:
        """Nobody will ask for it: its time is not known either."""
        found = blocks_of(GOOD)
        first = next(b for b in found if b.kind == BlockType.EVENTS)
        data = bytearray(GOOD[: next(b for b in found if b.kind == BlockType.INDEX).offset])
        data[first.offset + 30] ^= 1
        path.write_bytes(data)
        assert "1 damaged blocks skipped" in replay(path).health()[-1].message

    def test_an_index_without_room_for_its_blocks_is_not_believed(self, path: Path) -> None:
        """Four million rows that are a byte apart would take more memory than any file of that size should."""
        end = blocks_of(GOOD)[-2].offset
        rows = np.zeros(100, index.INDEX)
        rows["offset"] = np.arange(100) + end - 100
        lie = pack(BlockType.INDEX, bytes(8) + rows.tobytes())
        path.write_bytes(GOOD[:end] + lie + pack(BlockType.END, end.to_bytes(8, "little")))
        got, reader = everything(path)
        assert sum(got.values()) == 4
        assert len(reader.rows) < 10

    def test_an_index_that_lies_about_kinds_gives_no_events_of_another(self, path: Path) -> None:
        writer = Writer(path)
        writer.append(batch_of([Fact(T0, SH, kind=Kind.LOCK)], Symbols()))
        writer.close()
        store = replay(path)
        store._blocks.rows["kind"][store._blocks.rows["events"] > 0] = Kind.CPU
        assert len(store.selected(Query())[1]) == 0

    def test_a_generation_that_comes_again_is_damage(self, path: Path) -> None:
        """Its tables would have to be built up again for each of its blocks."""
        whole = blocks_of(GOOD)
        mine = [b for b in whole if b.kind in (BlockType.SYMBOLS, BlockType.EVENTS)]
        out = GOOD[: whole[-2].offset] + b"".join(GOOD[b.offset : b.end] for b in mine)
        path.write_bytes(out)
        got, reader = everything(path)
        assert got == {(*STACK, Frame("f0")): 2, (*STACK, Frame("f1")): 4}
        assert reader.damage.blocks == 3

    @pytest.mark.parametrize("kind", [BlockType.HOSTS, BlockType.GAUGES, BlockType.HEALTH])
    def test_words_without_end_are_damage(self, path: Path, kind: BlockType) -> None:
        """A kilobyte of file, four megabytes of JSON, a hundred megabytes of objects: no writer needs as much."""
        path.write_bytes(file_header({}) + pack(kind, b"[" + b"{}," * (MAX_JSON // 3) + b"{}]"))
        with Reader(path) as reader:
            assert list(reader.contents()) == []
        assert reader.damage.blocks == 1

    def test_a_bomb_is_not_unpacked(self, path: Path) -> None:
        bomb = zstandard.ZstdCompressor().compress(bytes(MAX_BLOCK + 1))
        for claimed in (100, MAX_BLOCK):
            fields = struct.pack("<4sBBHIII", b"ApBk", 2, 1, 0, len(bomb), claimed, zlib.crc32(bomb))
            path.write_bytes(file_header({}) + fields + zlib.crc32(fields).to_bytes(4, "little") + bomb)
            assert everything(path)[1].damage.blocks == 1
        fields = struct.pack("<4sBBHIII", b"ApBk", 2, 1, 0, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        path.write_bytes(file_header({}) + fields + zlib.crc32(fields).to_bytes(4, "little"))
        assert everything(path)[1].damage.truncated_bytes == 24
        with pytest.raises(ValueError, match="too large"):
            pack(BlockType.EVENTS, bytes(MAX_BLOCK + 1))

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_blocks_with_hostile_contents_are_counted_and_never_a_crash(self, data: st.DataObject) -> None:
        """Whole blocks with good checksums, but with any bytes changed inside before they were packed."""
        out = file_header({})
        for block in blocks_of(GOOD):
            payload = bytearray(block.payload or b"")
            for _ in range(data.draw(st.integers(0, 2))):
                at = data.draw(st.integers(0, max(len(payload) - 4, 0)))
                value = data.draw(st.sampled_from([0, 1, 2, 7, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 1 << 32 - 1))
                payload[at : at + 4] = value.to_bytes(8, "little")[:4]
            out += pack(BlockType(block.kind), bytes(payload))
        with tempfile.NamedTemporaryFile() as file:
            file.write(out)
            file.flush()
            store = replay(file.name)
        for frame in range(len(store.call_tree(Query()).symbols.frames)):
            assert "\x1b" not in store.call_tree(Query()).symbols.frame_at(frame).function
        store.processes(Query())
        store.timeline(Query(), 5)
        json.dumps([h.as_json() for h in store.health()])

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from([BlockType.HOSTS, BlockType.GAUGES, BlockType.HEALTH]), st.data())
    def test_words_that_are_none_are_counted(self, kind: BlockType, data: st.DataObject) -> None:
        keys = st.sampled_from(
            ["name", "state", "lost", "time_ns", "load", "cpu_user", "kernel", "cpus", "memory_bytes"]
        )
        values = (
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.text()
            | st.lists(st.integers(), max_size=4)
        )
        rows = data.draw(st.lists(st.dictionaries(keys, values | st.dictionaries(st.text(), values)) | values))
        with tempfile.NamedTemporaryFile() as file:
            file.write(file_header({}) + pack(kind, json.dumps(rows).encode()))
            file.flush()
            with Reader(file.name) as reader:
                contents = list(reader.contents())
        assert len(contents) + reader.damage.blocks == 1
        for content in contents:
            assert not isinstance(content, Batch)
            assert "\x1b" not in "".join([h.name for h in content.hosts] + [h.message for h in content.health])
            assert not any(sample.time_ns is True for sample in content.gauges)

    def test_names_are_made_safe_again(self, path: Path) -> None:
        writer, symbols = Writer(path), Symbols()
        symbols._strings[symbols.string("harmless")] = "\x1b[31m"  # as a forger would write it
        writer.append(batch_of([Fact(T0, SH, stack=(Frame("harmless"),))], symbols))
        writer.close()
        ((stack, _),) = everything(path)[0].items()
        assert stack[0].function == r"\x1b[31m"

    def test_stacks_too_deep_lose_their_leaves_and_cost_little(self, path: Path) -> None:
        deep = tuple(Frame(f"f{i % 3}") for i in range(3 * tables.MAX_DEPTH))
        writer = Writer(path)
        writer.append(batch_of([Fact(T0, SH, stack=deep), Fact(T0, SH, stack=STACK)], Symbols()))
        writer.close()
        got, reader = everything(path)
        assert got == {deep[: tables.MAX_DEPTH]: 1, STACK: 1}
        assert reader.damage.message == ""

    def test_too_many_symbols_are_refused(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tables, "MAX_ROWS", 2)
        small(path)
        got, reader = everything(path)
        assert got == {}
        assert reader.damage.events == 4
