"""Identity keys: many spellings, one key."""

import pytest

from shared.model.identity import IdentityKey, device_key, email_key, handle_key, phone_key


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("ada@example.org", "ada@example.org"),
        (" Ada@Example.ORG ", "ada@example.org"),
        ("ada+lists@example.org", "ada+lists@example.org"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ADA@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("a\u0308da@example.org", "\u00e4da@example.org"),
        ('"a@b"@example.org', '"a@b"@example.org'),
        ("ada@" + "x" * 70 + ".example", "ada@" + "x" * 70 + ".example"),
    ],
)
def test_mail_addresses(address: str, value: str) -> None:
    assert email_key(address) == IdentityKey("email", value)


@pytest.mark.parametrize("address", ["", "ada", "@example.org", "ada@", "a da@example.org", "@"])
def test_texts_that_are_no_mail_address(address: str) -> None:
    with pytest.raises(ValueError, match="is not an e-mail address"):
        email_key(address)


@pytest.mark.parametrize(
    ("number", "region", "value"),
    [
        ("+44 20 7946 0958", None, "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("(020) 7946-0958", "GB", "+442079460958"),
        ("+49 (0)30 901820", "GB", "+4930901820"),
        ("030 901820", "DE", "+4930901820"),
    ],
)
def test_phone_numbers(number: str, region: str | None, value: str) -> None:
    assert phone_key(number, region) == IdentityKey("phone", value)


@pytest.mark.parametrize(
    ("number", "region"), [("", "GB"), ("hello", "GB"), ("1", "DE"), ("020 7946 0958", None)]
)
def test_texts_that_are_no_phone_number(number: str, region: str | None) -> None:
    with pytest.raises(ValueError, match=r"is not a (possible )?phone number"):
        phone_key(number, region)


@pytest.mark.parametrize("handle", ["ada", "@ada", " Ada ", "@ADA"])
def test_handles(handle: str) -> None:
    assert handle_key("GitHub", handle) == IdentityKey("handle", "github:ada")


@pytest.mark.parametrize("handle", ["", " ", "@"])
def test_a_handle_is_not_empty(handle: str) -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        handle_key("github", handle)


def test_devices() -> None:
    assert device_key("phone1") == IdentityKey("device", "phone1")
