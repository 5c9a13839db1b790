"""The worker process: empties the inbox into the tables, and links instances to occurrences."""
