"""Everything that decides, and nothing that touches the world: all of it is pure."""
