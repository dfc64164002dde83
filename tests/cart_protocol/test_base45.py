import pytest
from hypothesis import given
from hypothesis import strategies as st

from cart_protocol.base45 import Base45Error, decode, encode

# RFC 9285, sections 4.3 and 4.4
EXAMPLES = [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]


@pytest.mark.parametrize(("octets", "text"), [*EXAMPLES, (b"", ""), (b"\xff\xff", "FGW")])
def test_the_examples_of_the_rfc(octets: bytes, text: str) -> None:
    assert encode(octets) == text
    assert decode(text) == octets


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("GGW", "'GGW' at 0 means 65536"),
        (":::", ":::"),
        ("BB8A", "'A' left over at 3"),
        ("::", "2024"),
        ("BBb", "'b' at 2"),
    ],
)
def test_text_that_no_bytes_encode_to_is_refused_by_place(text: str, place: str) -> None:
    with pytest.raises(Base45Error, match=place):
        decode(text)


@given(st.binary(max_size=200))
def test_bytes_come_back(octets: bytes) -> None:
    assert decode(encode(octets)) == octets


@given(st.text(max_size=30) | st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", max_size=30))
def test_any_text_is_refused_or_is_the_one_encoding_of_its_bytes(text: str) -> None:
    try:
        octets = decode(text)
    except Base45Error:
        return
    assert encode(octets) == text
