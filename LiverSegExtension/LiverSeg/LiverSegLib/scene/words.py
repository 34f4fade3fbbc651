"""Sentences in the user's language; where there is no translator (the slicer-core wheel) they stay as they are written."""

from __future__ import annotations

try:
    from slicer.i18n import tr as _
except ImportError:

    def _(text: str) -> str:
        return text


__all__ = ["_"]
