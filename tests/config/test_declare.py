"""A table of the configuration has the fields that its class declares, and they do not change."""

from __future__ import annotations

import pytest

from pbs_filter.config.declare import REQUIRED, Option, Table, option
from pbs_filter.config.kinds import NAME, whole

AGE = whole(0, 9)


class Cat(Table):
    """A table for the tests."""

    name: str = option(NAME, REQUIRED, "Its name.")
    age: int = option(AGE, 1, "Its age.", synonym="--years", reload=True)
    seen: tuple[str, ...] = ()
    legs = 4


class Lion(Cat):
    """One more."""

    mane: int = option(AGE, 2, "Its mane.")


def test_a_field_has_what_was_given_or_its_default():
    cat = Cat(name="Tom")
    assert ("Tom", 1, ()) == (cat.name, cat.age, cat.seen)
    cat = Cat(name="Tom", age=3, seen=("a",))
    assert ("Tom", 3, ("a",)) == (cat.name, cat.age, cat.seen)
    assert "Cat(name='Tom', age=3, seen=('a',))" == repr(cat)


def test_the_declared_options_are_known_by_name_and_what_is_plain_is_none():
    assert [
        Option("name", NAME, REQUIRED, "Its name.", "", False),
        Option("age", AGE, 1, "Its age.", "--years", True),
    ] == list(Cat.options.values())
    assert {"name", "age", "mane"} == set(Lion.options)
    lion = Lion(name="Leo")
    assert ("Leo", 1, 2, ()) == (lion.name, lion.age, lion.mane, lion.seen)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": "Tom", "legs": 3}, "Cat has no 'legs'"),
        ({"age": 3}, "Cat: 'name' is missing"),
    ],
)
def test_a_field_that_is_unknown_or_missing_is_an_error(values, complaint):
    with pytest.raises(TypeError, match=complaint):
        Cat(**values)


def test_a_table_does_not_change_but_a_changed_copy_can_be_had():
    cat = Cat(name="Tom", age=3)
    with pytest.raises(AttributeError, match=r"Cat\.age does not change"):
        cat.age = 4
    assert Cat(name="Tom", age=4) == cat.changed(age=4)
    assert 3 == cat.age
    with pytest.raises(TypeError):
        cat.changed(legs=5)


def test_tables_are_equal_that_are_of_one_class_and_have_the_same_values():
    assert Cat(name="Tom") == Cat(name="Tom", age=1)
    assert Cat(name="Tom") != Cat(name="Tom", age=2)
    assert Cat(name="Leo") != Lion(name="Leo")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Cat(name="Tom"))
