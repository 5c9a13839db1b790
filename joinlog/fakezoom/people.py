"""Invented people, some with names that break careless software."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from joinlog.fakezoom.identifiers import short_id

Role = Literal["host", "panelist", "alternative_host", "co_host", "registrant", "guest"]
STAFF: frozenset[Role] = frozenset({"host", "panelist", "alternative_host", "co_host"})

FIRST_NAMES = (
    "Jill", "Amina", "Tomás", "Ingrid", "Wei", "Priya", "Kwame", "Lucía", "Noor", "Mateusz", "Sofia", "Hiro",
    "Fatima", "Lars", "Chloé", "Diego", "Anya", "Malik", "Grace", "Yusuf", "Elena", "Sam", "Nadia", "Oscar",
    "Ruth", "Pavel", "Leila", "Jonas", "Maeve", "Ravi",
)  # fmt: skip
LAST_NAMES = (
    "Chill", "Okafor", "García", "Lindqvist", "Zhang", "Raman", "Mensah", "Fernández", "Haddad", "Kowalski",
    "Rossi", "Tanaka", "Rahman", "Sørensen", "Dubois", "Reyes", "Petrova", "Johnson", "Hopper", "Demir",
    "Popescu", "Carter", "Aziz", "Nilsson", "Abara", "Novák", "Karimi", "Weber", "Byrne", "Iyer",
)  # fmt: skip
MAILBOX_FORBIDS = re.compile(r"[^a-z0-9.]+")
STRANGE_NAMES: tuple[tuple[str, str], ...] = (
    ("Fire 🚒", "Engine 👩‍🚒"),
    ("👨‍👩‍👧‍👦", ""),
    ("王", "小明"),
    ("さくら", "田中"),
    ("김", "민준"),
    ("محمد", "عبد الله"),
    ("שרה", "כהן"),
    ("Ελένη", "Παπαδοπούλου"),
    ("ปรีชา", "ศรีสุข"),
    ("Zoe\u0301", "Nu\u0308n\u0303ez"),  # combining marks, not precomposed letters
    ("\u202eevil", "reversed"),  # right-to-left override
    ("<img src=x onerror=alert(1)>", "<b>Bold</b>"),
    ("<script>alert('hi')</script>", "&amp;"),
    ("Robert'); DROP TABLE participant;--", "Tables"),
    ('=HYPERLINK("http://example.com")', "+1"),  # a formula, should somebody open an export in a spreadsheet
    ("{{7*7}}", "${jndi:ldap://example.com}"),
    ("Maximiliana " * 12, "von und zu " * 8 + "Ende"),
    ("iPhone", ""),
    ("null", "undefined"),
    ("", "O\u2019Brien-Smythe"),
    ("Tab\there", "New\nline"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """One person; `key` is known to the truth only, never to Zoom. `user_id` is None without a Zoom account."""

    key: str
    role: Role
    first_name: str
    last_name: str
    email: str
    user_id: str | None

    @property
    def name(self) -> str:
        """The display name, as a client shows it."""
        return f"{self.first_name} {self.last_name}".strip()


def invent_people(rng: random.Random, prefix: str, role: Role, strange: float, shared_name: float) -> Iterator[Person]:
    """Yield people without end: keys `{prefix}{role}{n}`, e-mail addresses unique under a prefix, names not.

    `strange` and `shared_name` are the shares with an awkward name and with the name of the person before.
    """
    first, last, n = "Jill", "Chill", 0
    while True:
        chance = rng.random()
        if n == 0 or chance >= shared_name:
            if chance > 1 - strange:
                first, last = rng.choice(STRANGE_NAMES)
            else:
                first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        local = MAILBOX_FORBIDS.sub("", f"{first}.{last}".lower())[:24].strip(".")
        signed_in = role in STAFF or rng.random() < 0.3
        yield Person(
            key=f"{prefix}{role}{n}",
            role=role,
            first_name=first,
            last_name=last,
            email=f"{local or 'someone'}+{role[0]}{n}@example.{'com' if n % 3 else 'org'}",
            user_id=short_id(rng) if signed_in else None,
        )
        n += 1
