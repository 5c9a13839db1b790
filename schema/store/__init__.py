"""Every SQL statement of Joinlog. Nothing here decides anything: it reads, writes and says what it found."""
