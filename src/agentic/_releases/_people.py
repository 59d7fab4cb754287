"""When are two names the same person's?

A name is told, not proven: whoever calls must know who is calling. What can be seen to is that one person
does not become two by another way of writing the same name.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from agentic.errors import ReleaseError

_LONGEST: Final = 200
# What looks like a Latin letter, after case folding: Cyrillic, Greek, Armenian, small capitals, digits. A
# small l and a capital I, which is a small i then, look alike as well.
_LOOKALIKES: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u04bb\u0501\u04cf\u051b\u051d\u043a\u043c"
    "\u0442\u043d\u0432\u0433\u0454"
    "\u03b1\u03bf\u03bd\u03c1\u03b9\u03ba\u03c4\u03c5\u03c7\u03b5\u03c9\u03b7\u03b3\u03c3"
    "\u0131\u0269\u0261\u1d0f\u0251\u026a"
    "\u044c\u04af\u04b1\u0475\u03b6\u0138\u0192"
    "\u057d\u0585\u0578\u0570\u0581\u0566"
    "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d18\u0280\ua731\u1d1b"
    "\u1d1c\u1d20\u1d21\u028f\u1d22"
    "01l",
    "aeopcyxisjhdiqwkmthbre" + "aovpiktuxewnyo" + "iigoai" + "byyvzkf" + "uonhgq"
    "abcdefghjkimnprstuvwyz" + "oii",
    "\u115f\u1160\u2800",  # letters and signs that are blank
)
_UNSEEN: Final = ("Cf", "Mn", "Me", "Mc")  # what is not there to be seen, and what is put upon letters


def checked_name(name: object, what: str, /) -> str:
    """The name as it is to be logged: without spaces around it, in one normal form.

    Raises:
        ReleaseError: It is no text of 1 to 200 printable characters.
    """
    if isinstance(name, str) and len(name) <= _LONGEST:
        clean = " ".join(unicodedata.normalize("NFKC", name).split())
        if clean and len(clean) <= _LONGEST and clean.isprintable() and person(clean):
            return clean
    shown = f"a text of {len(name)} characters" if isinstance(name, str) else f"a {type(name).__name__}"
    raise ReleaseError(
        f"{what} must be the name of somebody, 1 to {_LONGEST} printable characters, got {shown}",
        value=what,
        expected="a name",
    )


def person(name: str, /) -> str:
    """What tells one person from another: two names that give the same are taken for one person's.

    Case, spaces, points, accents, characters that cannot be seen and letters of other alphabets that look
    like Latin ones make no difference; nor does what follows a ``+`` in front of an ``@``. That may take two
    people for one, who then need a third; it is never to take one for two.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    apart = unicodedata.normalize("NFKD", folded).translate(_LOOKALIKES)
    letters = [letter for letter in apart if unicodedata.category(letter) not in _UNSEEN]
    text = unicodedata.normalize("NFKC", "".join(letters)).casefold()
    local, at, domain = text.rpartition("@")
    if at:
        text = local.partition("+")[0] + at + domain
    return "".join(letter for letter in text if letter.isalnum() or letter == "@")
