"""A task's arguments <-> JSON text for a jsonb column, checked against the signature.

What goes in is what comes out: the annotated type itself, not a subclass of it, equal to what was
given. Whatever would come back changed is refused when it is enqueued, with its path: also what an
object holds outside of its fields (a private attribute of a pydantic model, an attribute that was
set on a dataclass), unless a new one has the same.

What jsonb and JSON do not keep, and what is done about it:

- The order of an object's keys and the sign of ``-0.0`` are lost; both compare equal.
- A timezone comes back as its UTC offset; an offset of odd seconds is refused. It is the same
  moment, also in an hour that comes twice or never, though Python's ``==`` says no there. Of a time
  without a timezone the ``fold`` is lost; it compares equal.
- A pydantic model comes back with all of its fields set, so ``exclude_unset`` leaves none out. It
  compares equal.
- jsonb prints ``1e16`` as an integer. A ``float`` parameter reads it back as a float; where both
  an int and a float may stand (``Any``, ``int | float``), floats from 1e16 are refused.
- ``Any``, or no annotation, takes JSON's own types alone: None, bool, int, float, str, list, and
  dict with str keys. A tuple or a datetime would come back as a list or a str.
- Defaults are not stored: the default of the code that runs the job applies.
- The members of a union must be told apart by their JSON: ``str | datetime`` cannot be.
"""

from pgqueue.payload.codec import MAX_BYTES, Payload, encode_untyped
from pgqueue.payload.plain import MAX_DEPTH
from pgqueue.payload.signature import annotated_with

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Payload", "annotated_with", "encode_untyped"]
