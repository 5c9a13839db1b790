"""The web process: accepts signed events from Zoom, and shows pages to people."""
