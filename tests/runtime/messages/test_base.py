import pytest

from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Header, Message, message, message_types, schema_by_class


def test_every_type_has_a_name_and_a_hash_of_its_own() -> None:
    hashes = {schema_by_class(cls).hash for cls in message_types().values()}
    assert len(hashes) == len(message_types())


def test_a_name_can_not_be_taken_by_another_layout() -> None:
    @message("test/Taken")
    class First(Message):
        a: int

    assert schema_by_class(First).name == "test/Taken"
    with pytest.raises(MessageError, match="defined twice"):

        @message("test/Taken")
        class Second(Message):
            a: str


def test_an_undecorated_class_is_no_message_type() -> None:
    class Plain(Message):
        pass

    with pytest.raises(MessageError, match="decorate it"):
        schema_by_class(Plain)


def test_a_field_that_can_not_travel_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="can't be a field"):

        @message("test/Odd")
        class Odd(Message):
            a: object


@pytest.mark.parametrize(
    ("expires", "now", "expected"), [(0, 10**18, False), (5, 5, False), (5, 6, True)]
)
def test_expiry(expires: int, now: int, expected: bool) -> None:
    assert Header(expires=expires).has_expired(now) is expected
