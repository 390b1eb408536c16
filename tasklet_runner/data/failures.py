"""What goes wrong at a place of data, as errors of ours: what, where, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tasklet_runner.data.found import ChangedError
from tasklet_runner.wire.errors import InputError, LeaseGridError, ResultsError

_LIBRARIES = {"aiohttp", "http", "obstore", "botocore", "gcsfs", "adlfs", "paramiko", "requests", "google", "azure"}
"""Whose errors are failures of a place; any other that is no OSError or ValueError is a bug of ours."""

_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_DENIED = re.compile(r"\b40[13] (Forbidden|Unauthorized)\b|\(code: AccessDenied\)")
_MISSING = re.compile(r"\b404 Not Found\b")
_NO_CREDENTIALS = re.compile(r"/latest/(api/token|meta-data)|metadata|[Nn]o credentials|MissingAccessKey")
_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket), and "
    "AWS_ENDPOINT_URL for a server that is not Amazon's: in the environment, or in a cluster in the Secret that "
    "spec.dataSecretRef names"
)
_RIGHTS = {
    "read": "give yourself the right to read it; for s3, check AWS_ACCESS_KEY_ID and what its policy allows",
    "written": "give yourself the right to write there; for s3, check AWS_ACCESS_KEY_ID and what its policy allows",
}


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever a place raises inside becomes an InputError that says what was being read."""
    with _translated(what, "read", InputError):
        yield


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Whatever a place raises inside becomes a ResultsError that says what was being written."""
    with _translated(what, "written", ResultsError):
        yield


@contextmanager
def _translated(what: str, verb: str, kind: type[LeaseGridError]) -> Iterator[None]:
    try:
        yield
    except LeaseGridError:
        raise
    except Exception as error:  # the edge to libraries whose errors have no common base
        if not _is_failure(error):
            raise
        cause, remedy = told(what, verb, error)
        raise kind(cause, remedy=remedy) from error


def _is_failure(error: Exception) -> bool:
    return isinstance(error, OSError | ValueError | ImportError) or is_foreign(error)


def is_foreign(error: Exception) -> bool:
    """True for an error of a library that reaches data."""
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)


def told(what: str, verb: str, error: Exception) -> tuple[str, str]:
    """Cause and remedy of a failure; `verb`: `read` or `written`."""
    return _told_by_kind(what, error) or _told_by_words(what, verb, error)


def _told_by_kind(what: str, error: Exception) -> tuple[str, str] | None:
    if isinstance(error, ChangedError):
        return f"{what} has changed since it was listed", "leave the inputs alone while the job runs, and run it again"
    if isinstance(error, IsADirectoryError):
        return f"{what} is a directory", "name a file in it"
    if isinstance(error, ImportError):
        return f"{what} needs a package that is missing: {error}", _install(error)
    return None


def _told_by_words(what: str, verb: str, error: Exception) -> tuple[str, str]:
    text, said = str(error), brief(error)
    if is_foreign(error) and _NO_CREDENTIALS.search(text):
        return f"{what} cannot be {verb}: there are no credentials for it", _KEYS
    if is_denied(error):
        return f"{what} may not be {verb}: {said}", _RIGHTS[verb]
    if isinstance(error, FileNotFoundError) or (is_foreign(error) and _MISSING.search(text)):
        return _not_found(what, verb, error, said)
    return f"{what} cannot be {verb}: {said}", "check the path or URI and the access to it"


def is_denied(error: Exception) -> bool:
    """True when a place says that one may not."""
    if isinstance(error, PermissionError) or type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"}:
        return True
    if {_status(error), _status(error.__cause__)} & {401, 403}:
        return True
    return is_foreign(error) and bool(_DENIED.search(str(error)))


def _status(error: BaseException | None) -> int:
    """The status of an HTTP answer that an error is about, else 0: aiohttp and the standard library name it so."""
    given = getattr(error, "status", None)
    if given is None:
        given = getattr(error, "code", None)
    return given if isinstance(given, int) else 0


def _not_found(what: str, verb: str, error: Exception, said: str) -> tuple[str, str]:
    cause = error.__cause__
    if cause is not None and _status(cause) != 404 and isinstance(cause, Exception) and _is_failure(cause):
        # fsspec says the same of a server that does not answer, or not as it should; what it knows stands in the cause.
        return f"{what} cannot be {verb}: {cause}", "check the URI and the access to it"
    code = f" ({said})" if "NoSuchBucket" in str(error) else ""
    return f"{what} cannot be found{code}", "correct the path, or create the file"


def _install(error: ImportError) -> str:
    return 'pip install "leasegrid[s3]"' if (error.name or "").startswith("obstore") else "pip install it"


def brief(error: Exception) -> str:
    """The words of a server, without the pages that a library puts around them."""
    text = str(error)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if code is not None:
        return f"{code[1]}: {message[1].strip().rstrip('.')}" if message else code[1]
    return text.partition("\n\nDebug source")[0].strip()[:400] or type(error).__name__
