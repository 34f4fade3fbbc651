"""The project's own virtual environment: made once, reused in seconds. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "LiverSegExtension" / "LiverSeg" / "Resources" / "requirements.txt"
CONSTRAINTS = ROOT / "constraints.txt"
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index of builds without CUDA
OLDEST, NEWEST = (3, 10), (3, 13)


def ready(extras: str = "", *, constraint: Path | None = CONSTRAINTS, torch: str = "default") -> Path:
    """The Python of an environment that holds LiverSeg; built or brought up to date where needed."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        stop(
            f"this is Python {sys.version_info[0]}.{sys.version_info[1]}; expected 3.10 to 3.13. Run this script with one of them"
        )
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = VENV / f"liverseg-{extras or 'run'}.stamp"
    wanted = _fingerprint(constraint, torch)
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    _announce(torch, extras)
    build = VENV / "torch-build.txt"
    if python.exists() and (not _has_pip(python) or (build.exists() and build.read_text(encoding="utf-8") != torch)):
        shutil.rmtree(VENV)  # half made, or made for another build of torch
    if not python.exists():
        _make(python)
    build.write_text(torch, encoding="utf-8")
    if torch == "cpu" and sys.platform == "linux":  # elsewhere the default build is without CUDA anyway
        _install_cpu_torch(python, constraint)
    target = f"{ROOT}[{extras}]" if extras else str(ROOT)
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--editable", target]
    if constraint is not None:
        command += ["--constraint", str(constraint)]
    if subprocess.run(command, check=False).returncode != 0:
        stop("pip could not install the packages (its own words are above); check the network and run this again")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _install_cpu_torch(python: Path, constraint: Path | None) -> None:
    """From PyTorch's own index, before anything else asks for torch; said when that index is out of reach."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--retries", "0"]
    command += ["--timeout", "10", "--index-url", CPU_BUILDS, "torch"]
    if constraint is not None:
        command += ["--constraint", str(constraint)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        print(f"PyTorch's index of CPU builds ({CPU_BUILDS}) cannot be reached: taking the default build", flush=True)


def _has_pip(python: Path) -> bool:
    return subprocess.run([str(python), "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0


def stop(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def _make(python: Path) -> None:
    print(f"making {VENV}", flush=True)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "this Python has no venv or no ensurepip; install it (on Debian and Ubuntu: apt install python3-venv) and run this again"
        )
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False, capture_output=True, text=True)
    if made.returncode != 0 or not python.exists():
        told = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
        stop(f"the environment {VENV} could not be made: {told[-1]}")


def _announce(torch: str, extras: str) -> None:
    names = [line.split(";")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    print(f"installing into {VENV}: {', '.join(n for n in names if n and not n.startswith('#'))}")
    size = (
        "about 1.5 GB on disk"
        if torch == "cpu" or sys.platform != "linux"
        else "about 1.5 GB on disk; up to 7 GB where torch comes with CUDA (then --torch cpu is smaller)"
    )
    tests = ", and 1 GB for the tests of the Slicer module" if extras else ""
    print(f"this is done once: {size}{tests}", flush=True)


def _fingerprint(constraint: Path | None, torch: str) -> str:
    parts = [REQUIREMENTS.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), torch.encode(), str(ROOT).encode()]
    if constraint is not None:
        parts.append(constraint.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
