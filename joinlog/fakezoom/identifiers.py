"""Identifiers shaped like Zoom's, drawn from a seeded random source."""

import base64
import hashlib
import random

SHORT_ID_CHARS = 22
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
AWKWARD_UUID_SHARE = 0.15
NUMBERS_LONG, NUMBERS_SHORT = 10_000_000_019, 7_699_999_999  # a stride walks through all of them before it repeats
NUMBER_STRIDE, SEED_STRIDE = 7_368_787, 4_294_967_291
USER_ID_FIRST = 16_778_240
USER_ID_STRIDE = 1024


def short_id(rng: random.Random) -> str:
    """A 22-character URL-safe id: an account, a host, a user or a registrant."""
    return "".join(rng.choices(ALPHABET, k=SHORT_ID_CHARS))


def instance_uuid(rng: random.Random) -> str:
    """A 24-character base64 instance uuid; about one in seven begins with `/` or holds `//`."""
    raw = bytearray(rng.randbytes(16))
    if rng.random() < AWKWARD_UUID_SHARE:
        if rng.random() < 0.5:
            raw[0] |= 0xFC  # six leading ones are "/" in base64
        else:
            raw[3], raw[4] = 0xFF, raw[4] | 0xF0  # twelve ones on a boundary are "//"
    return base64.b64encode(raw).decode()


def meeting_number(seed: int, index: int) -> int:
    """The number of series `index` under `seed`: 10 or 11 digits, above 2**31, never twice under one seed."""
    walked = seed * SEED_STRIDE + index * NUMBER_STRIDE
    if index % 7 == 3:
        return 2_200_000_000 + walked % NUMBERS_SHORT
    return 80_000_000_000 + walked % NUMBERS_LONG


def connection_user_id(index: int) -> str:
    """The `user_id` of connection `index` of an instance; the next instance begins again at the same number."""
    return str(USER_ID_FIRST + USER_ID_STRIDE * index)


def connection_uuid(rng: random.Random) -> str:
    """A `participant_uuid`, upper-case hexadecimal in five groups."""
    text = f"{rng.getrandbits(128):032X}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def request_id(of: str) -> str:
    """An `x-zm-request-id`, the same for the same text: a version 4 uuid with underscores."""
    digest = hashlib.sha256(of.encode()).hexdigest()
    return f"{digest[:8]}_{digest[8:12]}_4{digest[13:16]}_8{digest[17:20]}_{digest[20:32]}"


def tracking_id(rng: random.Random) -> str:
    """An `x-zm-trackingid`: one per delivery, so two deliveries of one event differ in it."""
    return f"v=2.0;clid=us0{rng.randrange(1, 7)};rid=WEB_{rng.getrandbits(128):032x}"
