"""How do we speak with a company that has no file here? As its settings describe: request, answer and webhooks.

    request    method, url, headers, query and one of json, form, text; with placeholders such as {digits} and {text},
               each escaped for the place where it stands
    answer     where the id is, where the error's code is, and what that code wants us to do
    webhooks   which field is the id, the status word, the person's number …, and how we know who calls

It follows the rules of every other file: only a definite no is anything but `Uncertain`; a code without an entry in
`errors` is refused in a 4xx and uncertain in a 2xx; a status word without an entry in `report_words` changes nothing.
"""

from __future__ import annotations

import base64
import hmac
import json as json_module
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape as escape_xml

from ..errors import (
    AccountProblem,
    OptedOut,
    ProviderError,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest
from ..status import RANK, Status
from . import reading
from .base import (
    Capabilities,
    Provider,
    callback_url,
    called_reference,
    half_a_character,
    has_key,
    has_token,
    http_url,
    require,
)

# ---------------------------------------------------------------------------------------------------------------------
# The words that settings may use, and ours
# ---------------------------------------------------------------------------------------------------------------------

REACTIONS: dict[str, tuple[type[ProviderError], str]] = {
    # the word in `errors` and `status_errors`: (the reaction, what to do)
    "refused": (Refused, "The provider refused the message"),
    "opted_out": (OptedOut, "The recipient has opted out"),
    "throttled": (Throttled, "The provider asks us to slow down"),
    "sender": (SenderProblem, "The provider refused the sender; choose or register another"),
    "account": (AccountProblem, "Nothing can be sent: look at the provider's options and the account"),
    "uncertain": (Uncertain, "The provider had an error; whether it took the message is not known"),
}

STATUS_ERRORS = {401: "account", 402: "account", 403: "account", 429: "throttled"} | dict.fromkeys(
    (404, 405, 406, 415),
    "account",  # a mistake in the settings, never in a message
)
"""What a 4xx wants when neither `errors` nor `status_errors` says it; any other is refused."""

STATUSES: dict[str, Status] = {status.value: status for status in RANK}
"""The words that `report_words` may lead to."""

# ---------------------------------------------------------------------------------------------------------------------

PLACEHOLDERS = (
    *("number", "digits", "sender", "sender_digits", "text"),
    *("reference", "report_url", "validity_seconds"),
)
MAY_BE_ABSENT = ("report_url", "validity_seconds")
INTEGERS = ("digits", "validity_seconds")
NOT_IN_HEADERS = ("sender", "sender_digits", "text")

METHODS = ("GET", "POST", "PUT")
REPORT_FIELDS = ("each", "id", "status", "reference", "code", "at")
INBOUND_FIELDS = ("each", "id", "number", "sender", "text", "at")
SIGNATURE_FIELDS = ("header", "secret", "algorithm", "encoding", "prefix")

PLACEHOLDER = re.compile(r"\{(\w+)(:int)?\}", re.ASCII)
PRINTABLE = re.compile(r"[\x20-\x7e]*")
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Values = Mapping[str, str]
Escape = Callable[[str], str]


class Http(Provider):
    """Any company with an HTTP API, described in settings; docs/providers/http.md explains every option.

    Raises `ValueError` for an option that cannot work, and names it. It never repeats a secret.
    """

    name = "http"
    capabilities = Capabilities(echoes_reference=True, validity=True, signs_webhooks=True)
    """What a description can reach; that of an instance says what its own does."""

    def __init__(
        self,
        *,
        url: str,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | Sequence[Any] | None = None,
        form: Mapping[str, str] | None = None,
        text: str | None = None,
        secrets: Mapping[str, str] | None = None,
        username: str = "",
        password: str = "",
        success: Sequence[int] = tuple(range(200, 300)),
        id: str = "",
        id_pattern: str = "",
        error: str = "",
        error_pattern: str = "",
        errors: Mapping[str, str] | None = None,
        success_words: Sequence[str | int] = (),
        status_errors: Mapping[int | str, str] | None = None,
        longest_text: int | None = None,
        report: Mapping[str, str] | None = None,
        report_words: Mapping[str, str] | None = None,
        opted_out_words: Sequence[str | int] = (),
        inbound: Mapping[str, str] | None = None,
        signature: Mapping[str, str] | None = None,
        webhook_secret: str = "",
        webhook_url: str = "",
        acknowledgement: str = "",
    ) -> None:
        self._secrets = _secrets(secrets)
        names = (*PLACEHOLDERS, *self._secrets)

        self.method = _one_of("method", method, METHODS)
        self._url = _url(url, names)
        self._query = _fields("query", query, names)
        self._headers = _headers(headers, names, self._secrets)
        if username or password:
            _demand("authorization" not in map(str.lower, self._headers), "headers", "say Authorization already")
            basic = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = "Basic " + basic
        self._kind, self._body = _body(json, form, text, names)
        _demand(not (self._kind and method == "GET"), "method", "GET takes no json, form or text; use query")
        self._escape = self._typed()

        self._success = _statuses("success", success)
        self._find_id = _finder("id", id, "id_pattern", id_pattern)
        _demand(bool(id or id_pattern), "id", "or id_pattern must say where an answer has the message's id")
        self._find_code = _finder("error", error, "error_pattern", error_pattern)
        self._errors = _table("errors", errors, REACTIONS)
        self._success_words = _words("success_words", success_words)
        _demand(bool(error or error_pattern) or not (errors or success_words), "error", "must say where the code is")
        by_status = _table("status_errors", status_errors, REACTIONS)
        _demand(all(re.fullmatch("4[0-9][0-9]", key) for key in by_status), "status_errors", "has statuses of 4xx only")
        self._status_errors = STATUS_ERRORS | {int(key): word for key, word in by_status.items()}
        whole = isinstance(longest_text, int) and not isinstance(longest_text, bool)
        _demand(longest_text is None or (whole and longest_text > 0), "longest_text", "must be a number of characters")
        self._longest_text = longest_text

        self._report = _places("report", report, REPORT_FIELDS, needed=("status",))
        self._report_words = {
            word.casefold(): STATUSES[ours] for word, ours in _table("report_words", report_words, STATUSES).items()
        }
        _demand(bool(report) == bool(report_words), "report", "and report_words go together; set both or neither")
        self._opted_out_words = _words("opted_out_words", opted_out_words)
        self._inbound = _places("inbound", inbound, INBOUND_FIELDS, needed=("number", "sender", "text"))
        self._signature = _signature(signature)
        self._webhook_secret = _text("webhook_secret", webhook_secret).encode()
        self._webhook_url = http_url("Http", "webhook_url", webhook_url) if webhook_url else ""
        used = set(_names((self._url, self._query, self._headers, self._body)))
        names_report_url = bool(report and webhook_url) and "report_url" in used
        _demand(
            not names_report_url or bool(webhook_secret or signature),
            "webhook_secret",
            "must be set (or signature), or anybody could call the address in {report_url}",
        )
        self._names_report_url = names_report_url
        _demand(
            not report or bool({"id", "reference"} & report.keys()) or names_report_url,
            "report",
            "must say where the id or the reference is",
        )

        self.acknowledgement = _text("acknowledgement", acknowledgement).encode()  # type: ignore[misc]
        parts = urlsplit(self._url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.endpoint = self._origin + "/"
        keyed = names_report_url and bool(webhook_secret)
        self.capabilities = Capabilities(  # each description has its own
            echoes_reference=keyed or ("reference" in used and "reference" in self._report),
            validity="validity_seconds" in used,
            max_text_units=longest_text,
            reports=bool(report),
            inbound=bool(inbound),
            signs_webhooks=bool(signature),
        )

    def __repr__(self) -> str:
        return f"<Http {self.method} {self._origin}>"

    def build(self, message: Message) -> Request:
        """The described request. Raises `Refused` for a text that is too long or that its format cannot hold."""
        if self._longest_text is not None and len(message.text) > self._longest_text:
            raise Refused(
                f"The text has {len(message.text)} characters and the provider takes {self._longest_text}; shorten it.",
                code="text_too_long",
            )
        values = self._values(message)
        try:
            url = _fill(self._url, values, _quoted)
            if query := urlencode(_filled(self._query, values)):
                url += ("&" if urlsplit(url).query else "?") + query
            headers = _filled(self._headers, values)
            if self._kind == "json":
                body = json_module.dumps(_filled(self._body, values), ensure_ascii=False).encode()
            elif self._kind == "form":
                body = urlencode(_filled(self._body, values)).encode()
            else:
                body = _fill(self._body, values, self._escape).encode()
        except UnicodeEncodeError:  # half of a surrogate pair; the cause would quote the text
            raise half_a_character() from None
        return Request(self.method, url, headers, body)

    def read(self, response: Response) -> Accepted:
        """What the answer means: in a 2xx the code decides, then the id; in a 4xx the code, then the status."""
        status = response.status
        if not (200 <= status < 300 or 400 <= status < 500) or status == 408:
            raise Uncertain(
                f"The provider answered with HTTP status {status}; whether it took the message is not known."
            )
        found = self._find_code(response.body)
        word = reading.clean(found)
        if word in self._errors:
            raise _reaction(self._errors[word], word, response.headers)
        if status >= 400:
            raise _reaction(
                self._status_errors.get(status, "refused"), reading.code(word) or str(status), response.headers
            )
        provider_id = reading.clean(self._find_id(response.body))
        if status in self._success and provider_id and (found is None or word in self._success_words):
            return Accepted(provider_id)
        raise Uncertain("The provider's answer is neither a yes with an id nor a no that the settings know.")

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless it is signed, or its address has our token or a key.

        A key is for one message: it lets in one report on that message and nothing else.
        """
        if self._signature:
            given = webhook.headers.get(self._signature["header"], "")
            require(reading.same(given, _signed(webhook.body, self._signature)), "its signature is wrong")
            return
        if not self._webhook_secret:
            raise WebhookRejected("Webhooks cannot be verified: set the option webhook_secret or signature")
        if has_token(webhook, self._webhook_secret):
            return
        require(has_key(webhook, self._webhook_secret), "its address carries neither our token nor a key")
        events = self.events(webhook)
        require(
            len(events) == 1 and isinstance(events[0], DeliveryReport), "the key of its address is for one report only"
        )

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The reports and texts in a webhook: JSON, or a form in the body or the query.

        A form's query counts only where no signature is asked for, since that covers the body alone. Raises
        `WebhookRejected` for one without fields.
        """
        document: Any
        if webhook.body.lstrip()[:1] in (b"{", b"["):
            document = reading.parsed(webhook.body)
        else:
            query = {} if self._signature else reading.form(webhook.query)
            document = query | reading.form(webhook.body)
        if not document:
            raise WebhookRejected("The webhook holds no fields")
        return [
            *self._events(document, self._report, self._delivery_report(webhook)),
            *self._events(document, self._inbound, self._inbound_text),
        ]

    def _values(self, message: Message) -> Values:
        address = ""
        if message.report and self._names_report_url:
            address = callback_url(self._webhook_url, message.reference, self._webhook_secret)
        validity = message.validity_seconds
        return {
            **self._secrets,
            "number": message.number,
            "digits": message.number.removeprefix("+"),
            "sender": message.sender,
            "sender_digits": reading.without_plus(message.sender),
            "text": message.text,
            "reference": message.reference,
            "report_url": address,
            "validity_seconds": "" if validity is None else str(max(int(validity), 0)),
        }

    def _typed(self) -> Escape:
        """Sets the Content-Type that the body has; the escape for a text of that type."""
        named = next((value for name, value in self._headers.items() if name.lower() == "content-type"), "")
        natural = {
            "json": "application/json",
            "form": "application/x-www-form-urlencoded",
            "text": "text/plain; charset=utf-8",
        }
        if self._kind and not named:
            self._headers["Content-Type"] = natural[self._kind]
        if self._kind != "text":
            return _as_it_is
        kind, _, parameters = (named or natural["text"]).lower().partition(";")
        _demand("charset" not in parameters or "utf-8" in parameters, "headers", "Content-Type: only UTF-8 is written")
        for ending, escape in ESCAPES.items():
            if kind.strip().endswith(ending):
                return escape
        raise ValueError(f"Http: headers: nothing can be escaped for this Content-Type; known: {', '.join(ESCAPES)}")

    def _events(
        self,
        document: Any,
        places: Mapping[str, str],
        read: Callable[[Any], DeliveryReport | InboundText | None],
    ) -> Iterator[DeliveryReport | InboundText]:
        if not places:
            return
        items = reading.as_list(_at(document, places["each"])) if "each" in places else [document]
        for item in items:
            if event := read(item):
                yield event

    def _delivery_report(self, webhook: WebhookRequest) -> Callable[[Any], DeliveryReport | None]:
        # The company may write what it likes into a body; only we could make the key that fits this reference.
        called = called_reference(webhook) if has_key(webhook, self._webhook_secret) else ""

        def read(item: Any) -> DeliveryReport | None:
            said = {name: reading.clean(_at(item, place)) for name, place in self._report.items()}
            word, code = said["status"], said.get("code", "")
            known = self._report_words.get(word.casefold())
            if not word or (known is None and self._inbound and self._inbound_text(item)):
                return None
            return DeliveryReport(
                status=known,
                reference=called or said.get("reference", ""),
                provider_id=said.get("id", ""),
                word=word,
                code=code if code in self._opted_out_words else reading.code(code),
                at=reading.moment(said.get("at")),
                opted_out=not self._opted_out_words.isdisjoint((word, code)),
            )

        return read

    def _inbound_text(self, item: Any) -> InboundText | None:
        places = self._inbound
        said = {name: _at(item, place) for name, place in places.items()}
        number, text = reading.with_plus(reading.clean(said["number"])), said["text"]
        status = reading.clean(_at(item, self._report["status"])) if self._report else ""
        if not number or not isinstance(text, str) or status.casefold() in self._report_words:
            return None
        return InboundText(
            number=number,
            sender=reading.with_plus(reading.clean(said["sender"])),
            text=reading.clean(text, strip=False),
            provider_id=reading.clean(said.get("id")),
            at=reading.moment(said.get("at")),
        )


# Options


def _demand(fine: bool, option: str, sentence: str) -> None:
    """Raises `ValueError`, which names the option and quotes no value, unless it is fine."""
    if not fine:
        raise ValueError(f"Http: {option} {sentence}")


def _one_of(option: str, value: object, words: Collection[str]) -> str:
    _demand(isinstance(value, str) and value in words, option, f"must be one of: {', '.join(words)}")
    return str(value)


def _text(option: str, value: object) -> str:
    _demand(isinstance(value, str), option, "must be text")
    return str(value)


def _mapping(option: str, value: object) -> dict[str, Any]:
    """The mapping, its keys as text. None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"Http: {option} must be a table of names and values")
    return {str(key): each for key, each in value.items()}


def _words(option: str, value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"Http: {option} must be a list of words")
    return frozenset(str(word) for word in value)


def _table(option: str, value: object, words: Collection[str]) -> dict[str, str]:
    """Their words → ours, which must be in `words`."""
    return {key: _one_of(f"{option}[{key}]", word, words) for key, word in _mapping(option, value).items()}


def _statuses(option: str, value: Sequence[int]) -> frozenset[int]:
    fine = isinstance(value, Sequence | frozenset) and not isinstance(value, str)
    _demand(fine and bool(value) and all(each in range(200, 300) for each in value), option, "must list 2xx statuses")
    return frozenset(value)


def _secrets(value: Mapping[str, str] | None) -> dict[str, str]:
    secrets = _mapping("secrets", value)
    for name, secret in secrets.items():
        _demand(bool(re.fullmatch(r"\w+", name, re.ASCII)), "secrets", "have names of letters, digits and _")
        _demand(
            name not in PLACEHOLDERS, "secrets", f"cannot be called {name}: a message has a placeholder of that name"
        )
        _demand(isinstance(secret, str) and bool(secret), f"secrets[{name}]", "must be text and not empty")
    return secrets


def _names(template: object) -> Iterator[str]:
    """Every placeholder in a template, however deep."""
    if isinstance(template, str):
        yield from (found[1] for found in PLACEHOLDER.finditer(template))
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _names(value)
    elif isinstance(template, Sequence):
        for value in template:
            yield from _names(value)


def _check(option: str, template: str, names: Sequence[str], *, json: bool = False) -> str:
    """The template, if every placeholder in it is known; `:int` only where JSON has a number."""
    for found in PLACEHOLDER.finditer(template):
        _demand(found[1] in names, option, f"has no placeholder {{{found[1]}}}; there are {', '.join(names)}")
        alone = json and found[0] == template and found[1] in INTEGERS
        _demand(
            not found[2] or alone,
            option,
            "takes :int only where a value of json is {digits:int} or such and no more",
        )
    return template


def _url(value: str, names: Sequence[str]) -> str:
    url = _check("url", http_url("Http", "url", value), names)
    _demand(bool(re.fullmatch(r"[\x21-\x7e]+", url)), "url", "must be plain ASCII without spaces")
    _demand("{" not in urlsplit(url).netloc, "url", "takes placeholders after the host only")
    _demand("#" not in url, "url", "must have no #")
    return url


def _fields(option: str, value: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    """Templates by name; numbers become text."""
    fields = _mapping(option, value)
    for name, template in fields.items():
        _demand(isinstance(template, str | int), f"{option}[{name}]", "must be text")
    return {name: _check(f"{option}[{name}]", str(template), names) for name, template in fields.items()}


def _headers(value: Mapping[str, str] | None, names: Sequence[str], secrets: Values) -> dict[str, str]:
    headers = _fields("headers", value, [name for name in names if name not in NOT_IN_HEADERS])
    for name, template in headers.items():
        _demand(bool(re.fullmatch(r"[A-Za-z0-9-]+", name)), "headers", "have names of letters, digits and -")
        filled = _fill(template, {**dict.fromkeys(PLACEHOLDERS, ""), **secrets}, _as_it_is)
        _demand(bool(PRINTABLE.fullmatch(filled)), f"headers[{name}]", "must be printable ASCII, its secrets too")
    return headers


def _body(
    json: object, form: Any, text: object, names: Sequence[str]
) -> tuple[Literal["json", "form", "text", ""], Any]:
    """Which kind of body, and its template."""
    given = [name for name, value in (("json", json), ("form", form), ("text", text)) if value is not None]
    _demand(len(given) <= 1, " and ".join(given), "exclude each other; set one")
    if json is not None:
        _demand(not isinstance(json, str), "json", "must be a table or a list; for JSON as text use text")
        _check_json("json", json, names)
        return "json", json
    if form is not None:
        return "form", _fields("form", form, names)
    return ("text" if text is not None else ""), _check("text", _text("text", text or ""), names)


def _check_json(option: str, template: object, names: Sequence[str]) -> None:
    if isinstance(template, str):
        _check(option, template, names, json=True)
    elif isinstance(template, Mapping):
        for name, value in template.items():
            _check_json(f"{option}[{name}]", value, names)
    elif isinstance(template, Sequence):
        for value in template:
            _check_json(option, value, names)
    else:
        _demand(template is None or isinstance(template, int | float), option, "must be what JSON can hold")


def _places(
    option: str, value: Mapping[str, str] | None, names: Sequence[str], needed: Sequence[str]
) -> dict[str, str]:
    """Where in a webhook each thing stands: a field's name, or a dotted path into JSON."""
    places = _mapping(option, value)
    for name, place in places.items():
        _one_of(option + "'s names", name, names)
        _demand(isinstance(place, str) and bool(place), f"{option}[{name}]", "must be a field's name or a dotted path")
    for name in needed if places else ():
        _demand(name in places, option, f"must say where {name} is")
    return places


def _signature(value: Mapping[str, str] | None) -> dict[str, str]:
    given = _mapping("signature", value)
    if not given:
        return {}
    for name in given:
        _one_of("signature's names", name, SIGNATURE_FIELDS)
        _text(f"signature[{name}]", given[name])
    for name in ("header", "secret"):
        _demand(bool(given.get(name)), f"signature[{name}]", "must be set")
    signature = {"algorithm": "sha256", "encoding": "hex", "prefix": ""} | given
    _one_of("signature[algorithm]", signature["algorithm"], ("sha1", "sha256", "sha512"))
    _one_of("signature[encoding]", signature["encoding"], ("hex", "base64"))
    return signature | {"header": signature["header"].lower()}


# Filling in


def _as_it_is(value: str) -> str:
    return value


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _in_json(value: str) -> str:
    return json_module.dumps(value, ensure_ascii=False)[1:-1]


def _in_xml(value: str) -> str:
    """Raises `Refused` for a sign that XML cannot hold, however it is written."""
    if NOT_XML.search(value):
        raise Refused("The text holds a sign that XML cannot hold; correct it.", code="text_not_xml")
    return escape_xml(value, {'"': "&quot;", "'": "&apos;", "\r": "&#13;"})


ESCAPES: Mapping[str, Escape] = {
    "text/plain": _as_it_is,
    "json": _in_json,
    "xml": _in_xml,
    "x-www-form-urlencoded": _quoted,
}
"""The end of a Content-Type → how a value is written into a text of that type."""


def _fill(template: str, values: Values, escape: Escape) -> str:
    return PLACEHOLDER.sub(lambda found: escape(values[found[1]]), template)


def _filled(template: Any, values: Values) -> Any:
    """The template with its values; a field that asks for what this message does not have is left out."""
    if isinstance(template, str):
        found = PLACEHOLDER.fullmatch(template)
        filled = _fill(template, values, _as_it_is)
        return int(filled) if found and found[2] else filled
    if isinstance(template, Mapping):
        return {name: _filled(each, values) for name, each in template.items() if not _lacks(each, values)}
    if isinstance(template, Sequence):
        return [_filled(each, values) for each in template if not _lacks(each, values)]
    return template


def _lacks(template: object, values: Values) -> bool:
    return isinstance(template, str) and any(name in MAY_BE_ABSENT and not values[name] for name in _names(template))


# Reading


def _at(document: Any, path: str) -> Any:
    """What stands at a dotted path such as `messages.0.id`, or under the whole of it as a name; else None."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and re.fullmatch("[0-9]{1,4}", step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _finder(path_option: str, path: str, pattern_option: str, pattern: str) -> Callable[[bytes], Any]:
    """Finds a value in a body: at the path, by the pattern, or by the pattern in what stands at the path.

    None when there is none. What stands at the path and does not fit the pattern is found as "".
    """
    _text(path_option, path)
    try:
        compiled = re.compile(_text(pattern_option, pattern))
    except re.error:
        raise ValueError(f"Http: {pattern_option} is not a regular expression") from None
    _demand(not pattern or compiled.groups == 1, pattern_option, "must have one group, as in OK: (.+)")

    def find(body: bytes) -> Any:
        value: Any = body.decode("utf-8", "replace") if pattern else None
        if path:
            value = _at(reading.parsed(body), path)
        if value is None or value is False or value in ("", [], {}):
            return None
        if not pattern:
            return value
        found = compiled.search(reading.clean(value))
        return found[1] if found else "" if path else None

    return find


def _reaction(word: str, code: str, headers: Mapping[str, str]) -> ProviderError:
    reaction, sentence = REACTIONS[word]
    sentence += f" (code {code})."
    if reaction is Throttled:
        return Throttled(sentence, code=code, retry_after=reading.retry_after(headers))
    return reaction(sentence, code=code)


def _signed(body: bytes, signature: Mapping[str, str]) -> str:
    """What the header must hold for this body."""
    mac = hmac.digest(signature["secret"].encode(), body, signature["algorithm"])
    written = mac.hex() if signature["encoding"] == "hex" else base64.b64encode(mac).decode()
    return signature["prefix"] + written
