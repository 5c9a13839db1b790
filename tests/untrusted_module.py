"""Nobody may import this: it stands for code that whoever can write to Redis would like a worker to run."""

raise AssertionError("a planted module was imported")
