"""Occurrence ids that Joinlog gives where Zoom gives none. Pure. Zoom's own are digits."""

from __future__ import annotations

EVERY_OCCURRENCE = "*"
"""Of a registration for all occurrences, and of a statement about the whole list of them."""

SINGLE_OCCURRENCE = "single"
"""Of the one session that a meeting of type 5 or 2 has."""
