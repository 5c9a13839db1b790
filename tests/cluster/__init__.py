"""`make cluster`: seven hosts on one machine, their parts killed, and a count of what was lost."""
