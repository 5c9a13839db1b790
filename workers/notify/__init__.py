"""Who is told when something is wrong: the conditions, who was told of them and when, and how a message leaves."""
