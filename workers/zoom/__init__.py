"""Zoom's REST API: the endpoints that are asked, the client, and its answers as events."""
