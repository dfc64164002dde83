"""Class paths name a callable of another package in a configuration file."""

import pytest

from cart_protocol.host.class_path import is_class_path, open_class_path
from cart_protocol.host.configuration import ConfigurationError


def test_the_callable_is_called_with_the_keys_as_text() -> None:
    assert open_class_path("types:SimpleNamespace?socket=/run/a+b.sock&cart=c1").__dict__ == {
        "socket": "/run/a+b.sock",
        "cart": "c1",
    }


def test_a_path_without_a_query_is_called_without_arguments() -> None:
    assert open_class_path("collections:OrderedDict") == {}


def test_escaped_characters_stand_in_values() -> None:
    assert open_class_path("types:SimpleNamespace?query=a%26b%3Dc").__dict__ == {"query": "a&b=c"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no colon here", "no class path"),
        ("no_such_package_of_ours.spi:connect", "No module named"),
        ("types:no_such_thing", "no callable 'no_such_thing'"),
        ("types:__name__", "no callable '__name__'"),
        ("types:SimpleNamespace?socket", "'socket' is no new key=value"),
        ("types:SimpleNamespace?a=1&a=2", "'a=2' is no new key=value"),
        ("datetime:timedelta?cart=c1", "'cart'"),
        ("cart_protocol.mass:grams?weight=1", "weight"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_its_name_and_a_remedy(path: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_class_path(path)
    assert path in str(refusal.value)
    assert said in str(refusal.value)


def test_an_error_inside_the_callable_is_its_own() -> None:
    with pytest.raises(TypeError, match="multiply"):
        open_class_path("cart_protocol.mass:sigma?standard_deviation=3")


def test_a_device_name_is_told_from_a_class_path() -> None:
    assert is_class_path("sim.wires.spi:connect?socket=x")
    assert not is_class_path("0.0")
