"""The composition root: the command line, the supervisor behind `joinlog up`, and the fake Zoom."""
