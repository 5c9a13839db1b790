"""The web process: takes signed events in, and shows what became of them."""
