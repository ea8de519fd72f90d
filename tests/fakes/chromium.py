"""A real browser for the pages: what it makes of a file, and what it paints, read without any imaging library."""

import os
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr"),
)
PATIENCE = 60
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Chromium:
    """program: its path; profile: a folder of its own."""

    program: str
    profile: Path

    def dom(self, page: Path) -> "Elements":
        """The elements of ``page`` after the browser has read it."""
        elements = Elements()
        elements.feed(self._run("--dump-dom", page.as_uri()))
        elements.close()
        return elements

    def picture(self, page: Path, width: int, height: int, *, dark: bool = False) -> "Picture":
        """What ``page`` looks like in a window of so many pixels."""
        target = self.profile / f"picture-{width}-{height}-{dark}.png"
        scheme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
        self._run(*scheme, f"--window-size={width},{height}", f"--screenshot={target}", page.as_uri())
        return Picture.read(target.read_bytes())

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - the browser of this machine
            [self.program, *FLAGS, f"--user-data-dir={self.profile}", *arguments],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.profile)},
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        complaints = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        assert not complaints
        return done.stdout


@dataclass(slots=True)
class Element:
    """One element. text: all that stands inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    def has_class(self, *names: str) -> bool:
        return set(names) <= set(self.attributes.get("class", "").split())


@dataclass(slots=True)
class Elements(HTMLParser):
    """Every element of a document, in order. A serialised document closes whatever it opens, but for the void ones."""

    all: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.all.append(element)
        if tag not in ("meta", "br", "hr", "img", "link", "input"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def of(self, tag: str, *classes: str) -> list[Element]:
        """The elements of a tag that have all these classes."""
        return [element for element in self.all if element.tag == tag and element.has_class(*classes)]


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels as a browser writes them. rows: bytes of each row; channels: bytes of a pixel, of which the first three count."""

    width: int
    rows: tuple[bytes, ...]
    channels: int

    @classmethod
    def read(cls, png: bytes) -> "Picture":
        """A PNG of eight bits a channel, with or without alpha, not interlaced."""
        assert png.startswith(_SIGNATURE)
        parts = dict.fromkeys((b"IHDR", b"IDAT"), b"")
        for kind, content in _chunks(png):
            parts[kind] = parts.get(kind, b"") + content
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
        assert (depth, interlaced) == (8, 0)
        channels = {2: 3, 6: 4}[colour]
        rows = _unfiltered(zlib.decompress(parts[b"IDAT"]), width * channels, channels)
        assert len(rows) == height
        return cls(width, rows, channels)

    def colours(self) -> Counter[Colour]:
        """How many pixels have each colour."""
        found: Counter[Colour] = Counter()
        for row in self.rows:
            found.update(zip(*(row[channel :: self.channels] for channel in range(3)), strict=True))
        return found

    def at(self, x: int, y: int) -> Colour:
        start = x * self.channels
        red, green, blue = self.rows[y][start : start + 3]
        return red, green, blue


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + content),)
        yield kind, content
        at += size + 12


def _unfiltered(raw: bytes, size: int, channels: int) -> tuple[bytes, ...]:
    """The rows of a PNG: each is told as a difference to what lies left of it (a), above (b) and left above (c)."""
    rows: list[bytes] = []
    above = bytes(size)
    for start in range(0, len(raw), size + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + size])
        for index in range(size if kind else 0):
            a = row[index - channels] if index >= channels else 0
            b = above[index]
            c = above[index - channels] if index >= channels else 0
            row[index] = (row[index] + (0, a, b, (a + b) // 2, _paeth(a, b, c))[kind]) & 0xFF
        above = bytes(row)
        rows.append(above)
    return tuple(rows)


def _paeth(a: int, b: int, c: int) -> int:
    guess = a + b - c
    return min((a, b, c), key=lambda value: abs(guess - value))
