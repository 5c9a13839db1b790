"""Occurrence ids that Joinlog gives where Zoom gives none. Pure. Zoom's own are digits."""

from __future__ import annotations

EVERY_OCCURRENCE = "*"
"""Of a registration for all occurrences, and of a statement about the whole list of them."""

NO_OCCURRENCE = "none"
"""Of Zoom's word that an instance was no occurrence: its list names one for others, and none for this."""

SINGLE_OCCURRENCE = "single"
"""Of the one session that a meeting of type 5 or 2 has."""
