"""A table or a folder of studies -> one folder a case, cohort.csv and cohort.html. Start at runner.py."""

from __future__ import annotations

from .records import Case, Outcome, Row, Settings

__all__ = ["Case", "Outcome", "Row", "Settings"]
