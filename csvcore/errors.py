"""Every error csvcore raises on purpose.

CsvcoreError
├── InputError          a file, table or array does not say what it must say
│   └── OffsetsError    spans do not tile the text they belong to
├── FitError            the scaling law could not be fitted
├── ModelError          a language model cannot be loaded or cannot score a text
├── CollectError        some models of a collection failed
├── StoreError          the results database is missing, locked or of another version
└── Cancelled           a piece of long work was asked to stop, and stopped
"""


class CsvcoreError(Exception):
    """Base of all errors whose message is meant for the user."""


class InputError(CsvcoreError):
    """A file, table or array does not say what it must say."""


class OffsetsError(InputError):
    """Spans do not tile the text they belong to."""


class FitError(CsvcoreError):
    """The scaling law could not be fitted."""


class ModelError(CsvcoreError):
    """A language model cannot be loaded or cannot score a text."""


class CollectError(CsvcoreError):
    """Some models of a collection failed; the others are stored."""


class StoreError(CsvcoreError):
    """The results database is missing, locked or of another version."""


class Cancelled(CsvcoreError):
    """A piece of long work was asked to stop, and stopped."""
