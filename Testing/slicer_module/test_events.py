"""What a worker may say: every event, cut anywhere, and every kind of rubbish."""

from __future__ import annotations

import json
import random

import pytest
from LiverSegLib.events import LONGEST_BYTES, Event, Lines

SPOKEN: list[dict[str, object]] = [
    {"event": "started", "pid": 4711, "protocol": 1},
    {"event": "stage", "name": "inference"},
    {"event": "progress", "name": "inference", "done": 3, "total": 12, "eta_s": 4.1},
    {"event": "warning", "code": "islands", "text": "zwei St\u00fccke"},
    {"event": "text", "text": "Liver 1581.0 ml"},
    {"event": "doctor", "packages": {"torch": "2.15.0"}, "anything": [1, None]},
    {"event": "error", "kind": "memory", "text": "not enough"},
    {"event": "done", "out": "C:\\results", "seconds": 1.2},
]
STREAM = b"".join(json.dumps(line).encode() + b"\n" for line in SPOKEN)


def as_spoken(events: list[Event]) -> list[dict[str, object]]:
    return [{"event": event.name, **event.facts} for event in events]


def test_every_event_arrives_wherever_the_stream_is_cut() -> None:
    for cut in range(len(STREAM)):
        lines = Lines()
        assert as_spoken(lines.feed(STREAM[:cut]) + lines.feed(STREAM[cut:])) == SPOKEN
        assert lines.rubbish == []


def test_bytes_one_by_one_and_a_last_line_without_its_end() -> None:
    lines = Lines()
    events = [event for n in range(len(STREAM) - 1) for event in lines.feed(STREAM[n : n + 1])]
    assert as_spoken(events) == SPOKEN[:-1]
    assert as_spoken(lines.close()) == SPOKEN[-1:]
    assert lines.close() == []


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"\x00\xff\xfe\x80 binary \x1b[2K",
        b"{'event': 'stage'}",
        b"[1, 2]",
        b"null",
        b'"stage"',
        b'{"event": "stage"}',
        b'{"event": "stage", "name": 3}',
        b'{"event": "explosion", "name": "x"}',
        b'{"event": ["stage"], "name": "x"}',
        b'{"name": "inference"}',
        b'{"event": "progress", "name": "inference", "done": "3", "total": 12}',
        b'{"event": "progress", "name": "inference", "done": 3, "total": 0}',
        b'{"event": "progress", "name": "inference", "done": 13, "total": 12}',
        b'{"event": "progress", "name": "inference", "done": -1, "total": 12}',
        b'{"event": "progress", "name": "inference", "done": NaN, "total": 12}',
        b'{"event": "progress", "name": "inference", "done": 1, "total": Infinity}',
        b'{"event": "progress", "name": "inference", "done": true, "total": true}',
        b'{"event": "started", "pid": "4711"}',
        b'{"event": "started", "pid": true}',
        b'{"event": "started", "pid": 0}',
        b'{"event": "started", "pid": 1}',
        b'{"event": "started", "pid": -4711}',
        b'{"event": "started", "pid": 1e3}',
        b'{"event": "warning", "code": null, "text": "x"}',
        b'{"event": "error", "kind": "memory"}',
        b'{"event": "done", "out": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda line: ascii(line[:40]),
)
def test_rubbish_is_kept_as_text_and_harms_nothing_after_it(line: bytes) -> None:
    lines = Lines()
    assert as_spoken(lines.feed(line + b"\n" + STREAM)) == SPOKEN
    assert len(lines.rubbish) == 1
    assert lines.rubbish[0].isascii()
    assert lines.rubbish[0].isprintable()
    assert len(lines.rubbish[0]) < 300


@pytest.mark.parametrize("piece", [1000, LONGEST_BYTES, 3 * LONGEST_BYTES + 5])
def test_a_line_without_end_is_not_hoarded(piece: int) -> None:
    lines = Lines()
    flood = b"x" * (3 * LONGEST_BYTES) + b"\n" + STREAM
    events = []
    for n in range(0, len(flood), piece):
        events += lines.feed(flood[n : n + piece])
        assert len(lines._held) <= LONGEST_BYTES
    assert as_spoken(events) == SPOKEN
    assert len(lines.rubbish) == 1


def test_empty_lines_are_nothing_and_rubbish_is_bounded() -> None:
    lines = Lines()
    assert lines.feed(b"\n\r\n  \n") == []
    assert lines.rubbish == []
    lines.feed(b"no\n" * 10_000)
    assert len(lines.rubbish) == 50


def test_noise_never_raises() -> None:
    noise = random.Random(6)
    lines = Lines()
    for _ in range(300):
        mutated = bytearray(STREAM)
        for _ in range(noise.randrange(1, 20)):
            mutated[noise.randrange(len(mutated))] = noise.randrange(256)
        lines.feed(bytes(mutated[: noise.randrange(len(mutated))]))
    lines.feed(b"\n")
    assert as_spoken(lines.feed(STREAM)) == SPOKEN
