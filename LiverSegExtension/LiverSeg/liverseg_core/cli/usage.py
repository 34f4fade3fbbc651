"""A parser whose refusals are one line, as every other error is."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ..errors import InputError


class OneLineParser(argparse.ArgumentParser):
    """Wrong usage is bad input like any other: `error: ...`, code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def numbers(text: str, option: str, expected: str) -> list[float]:
    """A comma-separated list, as everywhere on the command line."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r} is no list of numbers; expected {expected}") from None
