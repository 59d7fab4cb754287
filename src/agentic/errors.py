"""What can go wrong, as one tree.

::

    AgenticError
    ├── ConfigurationError (ValueError)      parts that do not fit together; raised when an agent is built
    │   ├── CatalogueError                   actions: empty, duplicate, malformed
    │   └── LayoutError                      subject records: a layout that cannot be migrated
    ├── ConditionError (ValueError)          a rule expression that is malformed, too large or not boolean
    ├── CodecError (ValueError)              stored data that does not follow its schema
    ├── InvalidSubjectError (ValueError)     a subject id that cannot be stored
    ├── InvalidTimeError (ValueError)        a time without zone, or outside the supported years
    ├── InvalidContextError (ValueError)     context columns that are ragged or of another length
    ├── InvalidOutcomeError (ValueError)     an outcome whose value or time is not usable
    ├── LearningError (ValueError)           feedback that a policy cannot learn from
    ├── EvaluationError (ValueError)         logged data that cannot be evaluated
    ├── ReleaseError (ValueError)            a policy that may not go on, or in charge, and what it lacks
    ├── UnknownFeatureError (LookupError)    a name nobody declared
    ├── UnknownDecisionError (LookupError)   a decision that is not in this agent's log
    ├── UnknownGoalError (LookupError)       an outcome that no goal counts
    ├── PluginNotFoundError (LookupError)    no plugin of that name is installed
    ├── PluginConflictError (RuntimeError)   two distributions claim one name
    ├── ProofError (ValueError)              a proof, signature, checkpoint or bundle that does not verify
    ├── DatabaseError (RuntimeError)         the database file cannot be opened, read or written
    │   ├── DatabaseBusyError                somebody else has been writing for too long
    │   ├── DatabaseFullError                no room is left where the file lies
    │   ├── ForeignDatabaseError             another program's file, or one of a newer version
    │   └── DamagedError                     stored bytes are not the ones that were written
    ├── StoreError (RuntimeError)            a state store failed
    └── LogError (RuntimeError)              a provenance log failed: no record, no decision

A message says what was wrong, what was expected, the value, and what to do.
The same facts are on the exception: ``error.facts["value"]``.

Exceptions end up in logs and error trackers. So what belongs to somebody, a subject's id, a feature's
value, a request's id, is never in a message or among the facts: ``masked`` says what it looks like instead.
What another library raised stays the ``__cause__``, and our message only says what kind of error it was.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

_SHOWN: Final = 24
_SPECIAL: Final = ("nan", "inf", "-inf")


def masked(value: object, /) -> str:
    """Say what a value looks like without saying what it is, for messages and reprs.

    Letters become ``a`` or ``A``, digits ``9``, what is not ASCII ``?`` unless it is a lone surrogate; the
    first 24 characters of a text are shown so, with its length. Of anything else only the type is told, and
    how many it holds; ``nan`` and infinities are told.
    """
    kind = type(value).__name__[:80]
    if value is None:
        return "None"
    if isinstance(value, float) and repr(float(value)) in _SPECIAL:
        return repr(float(value))
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    if isinstance(value, str):
        text = str.__str__(value)
        shape = "".join(map(_shape, text[:_SHOWN]))
        more = "..." if len(text) > _SHOWN else ""
        many = f"{len(text):,} character{'' if len(text) == 1 else 's'}"
        return f"a text of {many} like {shape!r}{more}" if text else "an empty text"
    if isinstance(value, Sized):
        try:
            return f"{article} {kind} of {len(value):,}"
        except Exception:  # noqa: BLE001, S110 - whatever somebody passed may raise, and its type says enough
            pass
    return f"{article} {kind}"


def _shape(letter: str) -> str:
    if letter.isalpha():
        return "A" if letter.isupper() else "a"
    if letter.isnumeric():
        return "9"
    return letter if letter.isascii() or "\ud800" <= letter <= "\udfff" else "?"


def reason(error: BaseException, /) -> str:
    """Say what kind of error somebody else's is, without its message, which may quote anything.

    Our own errors quote nobody, and an operating system says what failed in words of its own: these are told.
    """
    if isinstance(error, AgenticError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and isinstance(error.strerror, str):
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__


class AgenticError(Exception):
    """The root of every error this library raises on purpose.

    Attributes:
        facts: What the message says, as values: usually ``value`` and ``expected``.
    """

    facts: dict[str, object]

    def __init__(self, message: str, /, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class ConfigurationError(AgenticError, ValueError):
    """Parts of an agent do not fit together."""


class CatalogueError(ConfigurationError):
    """A catalogue of actions is empty, ambiguous or malformed."""


class LayoutError(ConfigurationError):
    """A subject record cannot be laid out, or stored records cannot be migrated to it."""


class ConditionError(AgenticError, ValueError):
    """A condition is malformed, too large, or used where it has no meaning."""


class CodecError(AgenticError, ValueError):
    """Stored or received data does not follow its schema."""


class InvalidSubjectError(AgenticError, ValueError):
    """A subject id is empty, too long, not a string, or not encodable."""


class InvalidTimeError(AgenticError, ValueError):
    """A time has no zone or lies outside the supported years."""


class InvalidContextError(AgenticError, ValueError):
    """Context columns are ragged, or their length is not the number of subjects."""


class InvalidOutcomeError(AgenticError, ValueError):
    """An outcome's value or time cannot be used."""


class LearningError(AgenticError, ValueError):
    """Feedback cannot be learned from."""


class EvaluationError(AgenticError, ValueError):
    """Logged data cannot be evaluated."""


class ReleaseError(AgenticError, ValueError):
    """A policy may not go to a stage, or in charge: ``facts["missing"]`` says in words what it lacks."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing, in words; nothing where that is not what is wrong."""
        found = self.facts.get("missing", ())
        return tuple(map(str, found)) if isinstance(found, tuple) else ()


class UnknownFeatureError(AgenticError, LookupError):
    """A feature name was used that nobody declared."""


class UnknownDecisionError(AgenticError, LookupError):
    """A decision id is not in this agent's log."""


class UnknownGoalError(AgenticError, LookupError):
    """An outcome was recorded that no goal counts."""


class PluginNotFoundError(AgenticError, LookupError):
    """No plugin of that name is installed."""


class PluginConflictError(AgenticError, RuntimeError):
    """Two installed distributions claim the same plugin name."""


class ProofError(AgenticError, ValueError):
    """A proof, signature, checkpoint or audit bundle does not verify."""


class DatabaseError(AgenticError, RuntimeError):
    """The database file cannot be opened, read or written."""


class DatabaseBusyError(DatabaseError):
    """Another process has held the right to write for longer than this one waits."""


class DatabaseFullError(DatabaseError):
    """No room is left where the database file lies."""


class ForeignDatabaseError(DatabaseError):
    """The file belongs to another program, or was written by a newer version of this one."""


class DamagedError(DatabaseError):
    """Stored bytes are not the ones that were written."""


class StoreError(AgenticError, RuntimeError):
    """A state store failed or returned something it must not."""


class LogError(AgenticError, RuntimeError):
    """A provenance log failed, so the decision does not stand."""
