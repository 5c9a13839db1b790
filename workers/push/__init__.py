"""Who is told what happened: notices derived from the change feed, signed, posted in order, and tried again."""
