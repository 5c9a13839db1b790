"""What the pages read, each statement small and on an index. Nothing here decides anything."""
