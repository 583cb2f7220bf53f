"""An e-mail over a server that the owner may send by."""

import smtplib
import ssl
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, Any, Literal

import msgspec

from shared.alerting.protocol import WITHIN, BadChannel, CannotTell, title_of
from shared.ha.outbox import Alert

NAME = "email"
ASKS = "password of the mail account, where there is one"

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_HOW = "write --set host=HOST --set from=ADDRESS --set to=ADDRESS"


class Options(msgspec.Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    """host, port, security: of the server. user: whom the secret lets in; nobody is asked for if
    there is none. sender, to: addresses."""

    host: Annotated[str, msgspec.Meta(pattern=r"^[^\s/]{1,253}$")]
    sender: str
    to: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    user: str | None = None


def checked(options: Mapping[str, Any], secret: str | None) -> dict[str, Any]:
    try:
        found = msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise BadChannel(f"{NAME}: {error}; {_HOW}") from None
    for address in (found.sender, found.to):
        _address(address)
    if (found.user is None) != (secret is None):
        raise BadChannel("a user and a password go together: --set user=USER --secret")
    if secret is not None and found.security == "none":
        raise BadChannel("a password is not sent unencrypted: leave out security=none")
    kept: dict[str, Any] = msgspec.to_builtins(found)
    return kept


def send(options: Mapping[str, Any], secret: str | None, alert: Alert) -> None:
    found = msgspec.convert(dict(options), Options)
    try:
        with _connected(found) as server:
            if found.user is not None:
                server.login(found.user, secret or "")
            server.send_message(_message(found, alert))
    except smtplib.SMTPAuthenticationError as error:
        raise CannotTell("the mail server refuses the user or the password: give them anew") from (
            ConnectionError(str(error.smtp_code))
        )
    except ssl.SSLCertVerificationError as error:
        raise CannotTell(
            f"the certificate of the mail server is not accepted: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        raise CannotTell(
            "no encrypted connection to the mail server: see that security and port go together"
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise CannotTell(f"the mail server does not take mail to {found.to}") from error
    except (smtplib.SMTPException, OSError) as error:
        said = str(error) or type(error).__name__
        raise CannotTell(f"the mail server does not take it: {said[:300]}") from error


def _connected(options: Options) -> smtplib.SMTP:
    port = options.port or _PORTS[options.security]
    context = ssl.create_default_context()
    if options.security == "tls":
        return smtplib.SMTP_SSL(options.host, port, timeout=WITHIN, context=context)
    server = smtplib.SMTP(options.host, port, timeout=WITHIN)
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
    if not found.domain:
        raise BadChannel(f"{text!r} is no mail address; {_HOW}")
    return found
