"""HTTP towards the catalogue: sign-in, retries, bounded answers, errors that say what to do.

The service throttles (429, with Retry-After) and fails in passing (408, 5xx, dropped connections): such calls are
tried again, then raise CatalogBusy. Any other answer that is no success raises CatalogRefused with Atlas's error code
and what to do. No token ever stands in a message, and none goes to another host than the endpoint's.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from shared.errors import CatalogBusy, CatalogRefused, SettingsError

if TYPE_CHECKING:
    import requests
    import tenacity

SCOPE = "https://purview.azure.net/.default"
#: a stock account's typedefs are 4 MB
MAX_RESPONSE = 64 * 1024 * 1024
#: waiting longer than this is the trigger's business, not ours
MAX_WAIT = 120.0
#: a whole answer; the time-out of requests only bounds the pause between two pieces of it
_ANSWER_SECONDS = 300.0
_EXPIRY_MARGIN = 300

# Apache Atlas, intg/src/main/java/org/apache/atlas/AtlasErrorCode.java
_NO_SUCH_ENTITY = ("ATLAS-404-00-005", "ATLAS-404-00-009")
_NO_SUCH_TYPE = "ATLAS-404-00-001"
_NO_SUCH_REFERENCE = "ATLAS-404-00-00A"


class _Answer(NamedTuple):
    status: int
    retry_after: str
    body: bytes


class _BusyError(CatalogBusy):
    """One attempt failed in passing. retry_after: seconds that the service asked for."""

    retry_after: float | None = None


class Rest:
    """Calls to one endpoint; see `Catalog` for what the arguments mean."""

    def __init__(
        self,
        endpoint: str,
        credential: Any,
        *,
        session: requests.Session | None,
        timeout: tuple[float, float],
        attempts: int,
        sleep: Callable[[float], None],
        scope: str,
        throttled: Callable[[float | None], None] = lambda _: None,
    ) -> None:
        import requests

        self.endpoint = _checked(endpoint, credential)
        self._credential = credential
        self._session = session or requests.Session()
        if credential is None:  # loopback: no proxy, no .netrc
            self._session.trust_env = False
        self._timeout = timeout
        self._attempts = attempts
        self._sleep = sleep
        self._scope = scope
        self._throttled = throttled
        self._token = ""
        self._token_until = 0.0

    def call(self, method: str, url: str, body: object = None, *, missing: bool = False) -> Any:
        """The decoded answer; `{}` for an empty one. missing: None for "no such entity" instead of CatalogRefused."""
        where = f"{method} {urlsplit(url).path} on {self.endpoint}"
        payload = None if body is None else msgspec.json.encode(body)
        answer = self._retried(method, url, payload, where)
        code, message = _atlas_error(answer.body) if answer.status >= 400 else ("", "")
        if missing and answer.status == 404 and code in _NO_SUCH_ENTITY:
            return None
        if answer.status >= 300:
            raise CatalogRefused(
                f"the catalogue answered {answer.status}{' ' + code if code else ''}: {message or 'no reason given'}",
                where=where,
                fix=_fix(answer.status, code),
            )
        if not answer.body.strip():
            return {}
        try:
            return msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CatalogRefused(f"the answer ({answer.status}) is no JSON", where=where, fix=_fix(404, "")) from error

    def _retried(self, method: str, url: str, payload: bytes | None, where: str) -> _Answer:
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda e: isinstance(e, _BusyError) and (e.retry_after is None or e.retry_after <= MAX_WAIT)
            ),
            wait=_wait,
            stop=tenacity.stop_after_attempt(self._attempts),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._authorised, method, url, payload, where)
        except _BusyError as error:
            tried = retrying.statistics.get("attempt_number", 1)
            asked = f" and asks to wait {error.retry_after:,.0f} s" if error.retry_after else ""
            raise CatalogBusy(
                f"{error.what} ({tried} attempts){asked}",
                where=where,
                fix="nothing to do: it is tried again. If it stays, look at the account's capacity units and limits",
            ) from error

    def _authorised(self, method: str, url: str, payload: bytes | None, where: str) -> _Answer:
        answer = self._send(method, url, payload, where)
        if answer.status == 401 and self._credential is not None:
            self._token = ""  # it may have been revoked before its time
            answer = self._send(method, url, payload, where)
        if answer.status in (408, 429) or answer.status >= 500:
            code, message = _atlas_error(answer.body)
            busy = _BusyError(f"the catalogue answered {answer.status} {code} {message}".rstrip(), where=where)
            busy.retry_after = _seconds(answer.retry_after)
            if answer.status == 429 or busy.retry_after is not None:
                self._throttled(busy.retry_after)
            raise busy
        return answer

    def _send(self, method: str, url: str, payload: bytes | None, where: str) -> _Answer:
        import requests

        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        token = self._bearer(where)

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        try:
            with self._session.request(
                method,
                url,
                data=payload,
                headers=headers,
                auth=sign,  # as `auth`, so that a .netrc cannot replace it
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, where)
                return _Answer(response.status_code, response.headers.get("Retry-After", ""), body)
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CatalogRefused(
                    "the certificate of the catalogue is not trusted",
                    where=where,
                    fix="set REQUESTS_CA_BUNDLE to the certificate of your proxy",
                ) from error
            raise _BusyError("the secure connection broke off", where=where) from error
        except requests.exceptions.RequestException as error:
            raise _BusyError(f"no answer ({type(error).__name__})", where=where) from error

    def _read(self, response: requests.Response, where: str) -> bytes:
        until = time.monotonic() + _ANSWER_SECONDS
        body = bytearray()
        for piece in response.iter_content(64 * 1024):
            body += piece
            if len(body) > MAX_RESPONSE:
                raise CatalogRefused(
                    f"the answer is larger than {MAX_RESPONSE:,} bytes", where=where, fix="ask for less at a time"
                )
            if time.monotonic() > until:
                raise _BusyError(f"the answer did not end within {_ANSWER_SECONDS:.0f} s", where=where)
        return bytes(body)

    def _bearer(self, where: str) -> str:
        if self._credential is None:
            return ""
        if not self._token or time.time() > self._token_until:
            from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError

            try:
                token = self._credential.get_token(self._scope)
            except ClientAuthenticationError as error:
                raise CatalogRefused(
                    f"no token for {self._scope}: {type(error).__name__}",
                    where=where,
                    fix="see `./hookline check`: the app's managed identity, or `az login` on a laptop",
                ) from error
            except (ServiceRequestError, ServiceResponseError) as error:
                raise _BusyError("the sign-in service did not answer", where=where) from error
            self._token, self._token_until = token.token, token.expires_on - _EXPIRY_MARGIN
        return self._token


def _checked(endpoint: str, credential: object) -> str:
    """The endpoint without a trailing slash. Raises SettingsError."""
    fix = "set it to https://<account>.purview.azure.com"
    parts = urlsplit(endpoint.strip().rstrip("/"))
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise SettingsError("the catalogue's address holds a user name or password", fix=fix)
    if parts.scheme not in ("http", "https") or not host or parts.path or parts.query or parts.fragment:
        raise SettingsError(f"{endpoint!r} is no address of a catalogue", fix=fix)
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(f"{endpoint!r} is not https: the token would travel in clear text", fix=fix)
    if credential is None and (parts.scheme == "https" or not _is_loopback(host)):
        raise SettingsError(
            f"{endpoint!r} needs a credential", fix="sign in: the app's managed identity, or `az login` on a laptop"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wait(state: tenacity.RetryCallState) -> float:
    """As long as the service asked for; otherwise 1, 2, 4 ... 30 s, each with up to a second of chance."""
    import tenacity

    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, _BusyError) else None
    backoff = float(tenacity.wait_exponential_jitter(initial=1, max=30, jitter=1)(state))
    return backoff if asked is None else asked


def _seconds(retry_after: str) -> float | None:
    """Retry-After is a number of seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(int(retry_after)))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _atlas_error(body: bytes) -> tuple[str, str]:
    """(code, message) of an error answer: Atlas's or the gateway's (`error`: code, message)."""
    from shared.settings.redact import redact

    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    inner = answer["error"] if isinstance(answer.get("error"), dict) else answer
    code = inner.get("errorCode") or inner.get("code") or ""
    message = inner.get("errorMessage") or inner.get("message") or ""
    return str(code)[:60], redact(str(message))[:500]


def _fix(status: int, code: str) -> str:
    if status == 401:
        return "the token must be for https://purview.azure.net (.net, not .com); other clouds have their own scope"
    if status == 403:
        return (
            "give the app's identity the role Data Curator on the collection, inside Purview "
            "(Data Map > Collections > Role assignments); Azure's own roles do not count there"
        )
    if code == _NO_SUCH_TYPE:
        return "create Hookline's types with `./hookline types push`; a type of Purview's own may be spelt otherwise"
    if code == _NO_SUCH_REFERENCE:
        return "send what it refers to before it, or with it; over the hook Atlas would make a shell of it"
    if status == 404 and not code:
        return "check the address of the catalogue: https://<account>.purview.azure.com"
    if status == 413:
        return "send fewer entities at a time"
    if 300 <= status < 400:
        return "the address leads elsewhere: use the catalogue's own"
    return "the reason is the catalogue's own; correct what it names and send it again"
