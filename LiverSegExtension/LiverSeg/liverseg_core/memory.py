"""How much memory there is, and the refusal of work that cannot fit in it. Standard library only."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import MemoryShortageError

_SYSTEM = Path("/")


def demand_memory(
    need_bytes: float, what: str, advice: str = "use a machine with more, or close other programs"
) -> None:
    """MemoryShortageError when `need_bytes` more would not fit. `what` needs them; `advice` says what would fit."""
    free = free_bytes()
    if need_bytes > free:
        raise MemoryShortageError(
            f"{what} needs about {spelled(need_bytes)} of memory, {spelled(free)} are free; {advice}"
        )


def free_bytes(system: Path = _SYSTEM) -> int:
    """What this process may still take: of the machine, of its control groups, of its own limit; the least counts."""
    return min(
        (n for n in (_of_machine(system), _of_groups(system), _of_limit(system)) if n is not None), default=sys.maxsize
    )


def spelled(count_bytes: float) -> str:
    return f"{count_bytes / 1e9:.2f} GB" if count_bytes < 1e10 else f"{count_bytes / 1e9:,.0f} GB"


def keep_freed_memory() -> None:
    """Let glibc keep what was freed: networks ask for the same blocks again, and fresh pages cost a fifth of their time.

    For a process that ends with its work; elsewhere (another system, another C library) it does nothing.
    """
    _allocate(
        (-4, 0),  # M_MMAP_MAX: large blocks come from the heap, too
        (-1, 2**31 - 1),  # M_TRIM_THRESHOLD: which does not shrink
    )


def return_large_blocks() -> None:
    """The end of `keep_freed_memory` for blocks above 32 MB, and what is free now goes back at once.

    For windows of gigabytes: freed blocks of half a gigabyte are holes that the next one just fails to fit into
    (measured: 31 million parameters hold 1.8 GB instead of 2.5 this way, in a tenth more time).
    """
    if _allocate((-3, 2**25), (-4, 2**16)):  # M_MMAP_THRESHOLD at its most, and M_MMAP_MAX as it was
        ctypes.CDLL(None).malloc_trim(0)


def _allocate(*settings: tuple[int, int]) -> bool:
    """Tell glibc's allocator; whether there is one to tell."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and all(mallopt(*setting) for setting in settings)


def _of_machine(system: Path) -> int | None:
    if sys.platform == "win32":
        return _of_windows()
    if sys.platform == "darwin":
        return _of_macos()
    return _kilobytes(_text(system / "proc/meminfo"), "MemAvailable")


def _of_groups(system: Path) -> int | None:
    """The tightest control group above this process, version 1 or 2; file pages that can be dropped count as free."""
    known = [n for folder in _groups(system) if (n := _of_group(folder)) is not None]
    return min(known, default=None)


def _groups(system: Path) -> Iterator[Path]:
    for line in _text(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = system / "sys/fs/cgroup" / controllers
            own = root / path.strip("/")
            yield from (folder for folder in (own, *own.parents) if folder == root or root in folder.parents)


def _of_group(folder: Path) -> int | None:
    for most, used, kept in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, taken = _text(folder / most).strip(), _text(folder / used).strip()
        if limit.isdigit() and taken.isdigit():
            droppable = re.search(rf"^{kept} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            return max(0, int(limit) - int(taken) + int(droppable[1] if droppable else 0))
    return None


def _of_limit(system: Path) -> int | None:
    """What `ulimit -v` leaves of the address space."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(system / "proc/self/statm").split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, limit - int(pages[0]) * resource.getpagesize())


def _of_macos() -> int | None:
    """Pages that are free or can be dropped, as vm_stat counts them."""
    try:
        told = subprocess.run(["vm_stat"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    page = re.search(r"page size of (\d+) bytes", told)
    counts = re.findall(r"^Pages (?:free|inactive|speculative|purgeable): +(\d+)", told, re.MULTILINE)
    return int(page[1]) * sum(map(int, counts)) if page and counts else None


def _of_windows() -> int | None:
    """`ullAvailPhys` of GlobalMemoryStatusEx."""
    if sys.platform != "win32":
        return None
    status = (ctypes.c_uint64 * 8)(64)  # two 32-bit words (length, load), then seven counts of bytes
    return int(status[2]) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _kilobytes(text: str, key: str) -> int | None:
    found = re.search(rf"^{key}: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
