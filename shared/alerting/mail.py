"""An e-mail over a server that the owner may send by."""

import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import msgspec

from shared.alerting.deadline import Deadline
from shared.alerting.protocol import SILENT, WITHIN, BadChannel, CannotTell, title_of
from shared.ha.outbox import Alert

NAME = "email"
ASKS = "password of the mail account"

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_HOW = "write --set host=HOST --set from=ADDRESS --set to=ADDRESS"

_US = "[127.0.0.1]"
"""How we greet (RFC 5321, section 4.1.3): a name of this machine would have to be asked for, which
may take long, and is nobody's business."""
_SHOWN = 200
"""Characters of what a server says."""


class Options(msgspec.Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    """host, port, security: of the server. user: whom the secret lets in; the server asks for
    nobody if there is none. sender, to: addresses."""

    host: Annotated[str, msgspec.Meta(pattern=r"\A[!-.0-~]{1,253}\Z")]
    sender: str
    to: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    user: str | None = None


def checked(options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
    try:
        found = msgspec.convert(dict(options), Options)
        found.host.encode("idna")
    except (msgspec.ValidationError, UnicodeError) as error:
        raise BadChannel(f"{NAME}: {error}; {_HOW}") from None
    for address in (found.sender, found.to):
        _address(address)
    if (found.user is None) != (secret is None):
        raise BadChannel("a user and a password go together: --set user=USER --secret")
    if not ((found.user or "") + (secret or "")).isascii():
        raise BadChannel(
            "a user and a password are sent to mail servers in ASCII; choose a password without "
            "other letters"
        )
    if secret is not None and found.security == "none" and not _is_here(found.host):
        raise BadChannel("a password is not sent unencrypted: leave out security=none")
    kept: dict[str, Any] = msgspec.to_builtins(found)
    return kept


def send(options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:
    found = msgspec.convert(dict(options), Options)
    try:
        with Deadline(WITHIN) as deadline:
            server = _connected(found, deadline)
            try:
                if found.user is not None:
                    server.login(found.user, secret or "")
                server.send_message(_message(found, alert))
                with suppress(smtplib.SMTPException, OSError):
                    server.quit()  # it has the mail, however it takes leave
            finally:
                server.close()
    except smtplib.SMTPAuthenticationError as error:
        raise CannotTell(
            f"the mail server refuses the user or the password (status {error.smtp_code}): give "
            "the right ones, which may be a password made for apps"
        ) from ConnectionError(str(error.smtp_code))
    except ssl.SSLCertVerificationError as error:
        raise CannotTell(
            f"the certificate of the mail server is not accepted ({error.verify_message}): see "
            "that the host is written as in its certificate"
        ) from error
    except ssl.SSLError as error:
        raise CannotTell(
            "no encrypted connection to the mail server: see that security and port go together"
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise CannotTell(
            f"the mail server does not do what is needed ({error}): see that security and user are "
            "what it offers"
        ) from error
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        if _is_silence(error):
            raise CannotTell(
                f"the mail server did not answer within {SILENT:.0f} seconds: see that host, port "
                "and security go together"
            ) from error
        raise CannotTell(
            f"the mail server does not take it ({_said(error)}): see that host, port, from and to "
            "are right"
        ) from error


class _Plain(smtplib.SMTP):
    """Its constructor connects, so it is told of the deadline before."""

    def __init__(self, options: Options, deadline: Deadline) -> None:
        deadline.connection = lambda: self.sock
        port = options.port or _PORTS[options.security]
        super().__init__(options.host, port, _US, timeout=SILENT)


class _Encrypted(smtplib.SMTP_SSL):
    def __init__(self, options: Options, deadline: Deadline, context: ssl.SSLContext) -> None:
        deadline.connection = lambda: self.sock
        port = options.port or _PORTS[options.security]
        super().__init__(options.host, port, _US, timeout=SILENT, context=context)


def _connected(options: Options, deadline: Deadline) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if options.security == "tls":
        return _Encrypted(options, deadline, context)
    server = _Plain(options, deadline)
    if options.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _message(options: Options, alert: Alert) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = title_of(alert)
    message["From"] = _address(options.sender)
    message["To"] = _address(options.to)
    message["Date"] = format_datetime(alert.at)
    # The same when it is told again, so that it is seen to be the same.
    message["Message-ID"] = f"<{alert.id}@yurt.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{alert.text}\n\n{alert.at:%Y-%m-%d %H:%M} UTC\n")
    return message


def _address(text: str) -> Address:
    try:
        found = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError, AttributeError) as error:
        raise BadChannel(f"{text!r} is no mail address; {_HOW}") from error
    if not (found.username and found.domain and text.isascii() and text.isprintable()):
        raise BadChannel(f"{text!r} is no mail address; {_HOW}")
    return found


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_silence(error: Exception) -> bool:
    # smtplib says of it that the connection was closed.
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _said(error: Exception) -> str:
    """What the server says, or what became of it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        said = f"{code} {_text(text)}"
    elif isinstance(error, smtplib.SMTPResponseException):
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
    else:
        said = str(error) or type(error).__name__
    return " ".join(said.split())[:_SHOWN]


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
