"""How much memory is free, whoever limits it, and the refusal before anything is allocated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from liverseg_core import memory
from liverseg_core.errors import MemoryShortageError
from liverseg_core.pipeline import segment_scan
from phantoms import GRIDS, bright_liver, known_model

GROUP = "process/one"
MACHINE = {"proc/meminfo": "MemTotal:  99999 kB\nMemAvailable:    8000 kB\n"}
V2 = {
    "proc/self/cgroup": f"0::/{GROUP}\n",
    f"sys/fs/cgroup/{GROUP}/memory.max": "5000000\n",
    f"sys/fs/cgroup/{GROUP}/memory.current": "3000000\n",
    f"sys/fs/cgroup/{GROUP}/memory.stat": "anon 1\ninactive_file 400000\n",
}
V1 = {
    "proc/self/cgroup": f"9:name=systemd:/\n4:memory:/{GROUP}\n0::/\n",
    f"sys/fs/cgroup/memory/{GROUP}/memory.limit_in_bytes": "9223372036854771712\n",
    f"sys/fs/cgroup/memory/{GROUP}/memory.usage_in_bytes": "1000000\n",
    "sys/fs/cgroup/memory/process/memory.limit_in_bytes": "7000000\n",
    "sys/fs/cgroup/memory/process/memory.usage_in_bytes": "6000000\n",
    "sys/fs/cgroup/memory/process/memory.stat": "inactive_file 7\ntotal_inactive_file 500000\n",
}
INSIDE = {  # a container sees its own group at the root, under whatever path the machine gave it
    "proc/self/cgroup": "0::/docker/unknown/here\n",
    "sys/fs/cgroup/memory.max": "2000000\n",
    "sys/fs/cgroup/memory.current": "500000\n",
}
FREE = {
    "machine alone": ({}, 8000 * 1024),
    "group without limit": ({**V2, f"sys/fs/cgroup/{GROUP}/memory.max": "max\n"}, 8000 * 1024),
    "version 2": (V2, 2_400_000),
    "version 1, the group above": (V1, 1_500_000),
    "inside a container": (INSIDE, 1_500_000),
    "group overdrawn": ({**V2, f"sys/fs/cgroup/{GROUP}/memory.current": "9000000\n"}, 0),
}


@pytest.mark.skipif(sys.platform != "linux", reason="these files are Linux's")
@pytest.mark.parametrize("name", FREE)
def test_the_tightest_limit_counts(tmp_path: Path, name: str) -> None:
    files, expected = FREE[name]
    for path, text in {**MACHINE, **files}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert memory.free_bytes(tmp_path) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_the_own_limit_of_a_process_counts() -> None:
    code = (
        "import resource; from liverseg_core.memory import free_bytes\n"
        "resource.setrlimit(resource.RLIMIT_AS, (500_000_000, 500_000_000))\n"
        "assert 100_000_000 < free_bytes() < 500_000_000, free_bytes()"
    )
    core = Path(memory.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=core)


def test_here_there_is_some_and_not_more_than_a_machine_has() -> None:
    assert 10**7 < memory.free_bytes() < 10**14


def test_what_cannot_fit_is_refused_in_words() -> None:
    memory.demand_memory(1000.0, "a small thing")
    with pytest.raises(MemoryShortageError, match=r"a scan needs about 1,000,000 GB of memory, .* are free; crop it"):
        memory.demand_memory(1e15, "a scan", "crop it")
    assert MemoryShortageError.exit_code == 4


@pytest.mark.parametrize(("count", "text"), [(1.234e9, "1.23 GB"), (5e6, "0.01 GB"), (12.6e9, "13 GB")])
def test_sizes_are_spelled_in_gigabytes(count: float, text: str) -> None:
    assert memory.spelled(count) == text


def test_a_scan_that_leaves_no_room_to_work_is_refused_before_it_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = bright_liver(GRIDS["plain"])
    need = 2 * scan.voxels.nbytes + 3 * scan.voxels.size
    monkeypatch.setattr(memory, "free_bytes", lambda: need - 1)
    monkeypatch.setattr("liverseg_core.preparation.prepare", lambda *_: pytest.fail("prepared"))
    with pytest.raises(MemoryShortageError, match="48 x 40 x 32"):
        segment_scan(scan, known_model(), device="cpu")


def test_kept_memory_is_asked_for_without_harm() -> None:
    code = "from liverseg_core.memory import keep_freed_memory; keep_freed_memory(); bytearray(1 << 26)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(memory.__file__).parents[1])


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_large_blocks_go_back_when_they_are_asked_back() -> None:
    """200 MB, touched and freed: kept first, then returned."""
    code = (
        "from pathlib import Path\nfrom liverseg_core.memory import _allocate, keep_freed_memory, return_large_blocks\n"
        "held = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096 // 10**6\n"
        "keep_freed_memory()\nbefore = held()\nblock = bytearray(200_000_000)\nguard = bytearray(50_000)\ndel block\n"
        "kept = held()\nreturn_large_blocks()\nreturned = held()\nblock = bytearray(300_000_000)\ndel block\n"
        "if _allocate(): assert kept - before > 190 and returned - before < 10 and held() - before < 10, (before, kept, returned)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(memory.__file__).parents[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the system does not tell")
def test_the_peak_is_that_of_this_process_and_not_of_the_one_that_started_it() -> None:
    ours = bytearray(300 << 20)  # a large parent
    code = "from liverseg_core.walk import peak_memory_mb\nprint(peak_memory_mb())"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(memory.__file__).parents[1], capture_output=True, check=True, text=True
    )
    assert 5 < float(told.stdout) < 200 < len(ours) >> 20
