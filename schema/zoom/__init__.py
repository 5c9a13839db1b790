"""Zoom's wire: what its webhooks hold, and what of it is personal."""
