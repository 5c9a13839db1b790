"""What Joinlog costs, measured beside what people would use instead: `python -m tests.bench smoke|small|full`."""
