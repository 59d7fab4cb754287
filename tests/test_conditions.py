"""Rules: what they mean, how they are stored, what they refuse, and what they say."""

import enum
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import agentic.conditions
from agentic.conditions import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_NODES,
    MAX_TEXT,
    Coded,
    Condition,
    Expression,
    F,
    Truth,
    Unlisted,
    always,
    load,
    load_expression,
    never,
)
from agentic.errors import ConditionError, InvalidContextError, UnknownFeatureError

NAN = math.nan
EXACT = 2**53
TRUTHS = {True: F("n") == 1, False: F("n") == 2, None: F("gone") == 1}
ROW = {"n": 1}


def answers(truth: Truth) -> list[bool | None]:
    """Spell a truth out, row by row."""
    return [None if unknown else bool(true) for true, unknown in zip(truth.true, truth.unknown, strict=True)]


def judged(rule: Condition, **columns: Any) -> list[bool | None]:
    """Judge a batch, spelled out."""
    n = {len(column.codes if isinstance(column, Coded) else column) for column in columns.values()}.pop()
    return answers(rule.evaluate_columns(columns, n))


def objects(*values: object) -> np.ndarray:
    """Make a column of anything."""
    column = np.empty(len(values), np.object_)
    for place, value in enumerate(values):
        column[place] = value
    return column


whole = st.one_of(st.integers(-3, 3), st.sampled_from([EXACT, EXACT + 1, -EXACT - 1, 2**63 - 1, -(2**63)]))
floats = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -2.0, 0.1, NAN, math.inf, -math.inf, 1e308, 2.0**53, 2.0**63]),
    st.floats(width=32),
)
texts = st.text(st.sampled_from("ab\0é\U0001f600"), max_size=3)
things: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    whole,
    floats,
    texts,
    st.sampled_from(
        [10**400, -(10**400), [], [1], {"a": 1}, (), object(), datetime(2026, 1, 1, tzinfo=UTC), b"a"]
    ),
    st.sampled_from([np.float32(0.1), np.int8(1), np.uint64(2**64 - 1), np.bool_(True), np.str_("a"), 1j]),
    st.sampled_from([Decimal("0.5"), Decimal("NaN"), Decimal("sNaN"), Fraction(1, 2), Fraction(10**400)]),
    st.just(np.datetime64("NaT")),
)
literals = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([EXACT - 1, 1 - EXACT, 0.5, 0.1, 1e308, 2.0**53, -(2.0**63), 1e20]),
    texts,
)
ordered = literals.filter(lambda literal: not isinstance(literal, bool))
figures = ordered.filter(lambda literal: not isinstance(literal, str))
categories = st.lists(texts, max_size=4, unique=True)
names = st.sampled_from([*"fgijbstocdm"])


@st.composite
def batches(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """Columns of every kind, some wide enough for the ways that only many rows take."""
    n = draw(st.integers(0, 9))

    def listed(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    def coded(dtype: type) -> Coded:
        known = draw(categories)
        codes: np.ndarray = np.array(listed(st.integers(-3, len(known))), dtype=dtype)
        if dtype is float:
            codes[codes == -2] = NAN
        return Coded(codes, known)

    columns: dict[str, Any] = {
        "f": np.array(listed(floats), dtype=np.float64),
        "g": np.array(listed(st.floats(width=32)), dtype=np.float32),
        "i": np.array(listed(whole), dtype=np.int64),
        "j": np.array(listed(st.integers(0, 255)), dtype=np.uint8),
        "b": np.array(listed(st.booleans()), dtype=np.bool_),
        "s": np.array(listed(texts), dtype="U3"),
        "t": np.array(listed(texts), dtype="U3"),
        "o": objects(*listed(things)),
        "c": coded(float),
        "d": coded(np.int8),
    }
    return columns, n


def rows_of(columns: dict[str, Any], n: int) -> list[dict[str, object]]:
    """Take columns apart into mappings."""
    lists = {
        name: column.values() if isinstance(column, Coded) else list(column)
        for name, column in columns.items()
    }
    return [{name: values[row] for name, values in lists.items()} for row in range(n)]


def expressions() -> st.SearchStrategy[Expression]:
    plain: st.SearchStrategy[Expression] = names.map(F)
    filled = st.builds(lambda name, default: F(name).or_else(default), names, literals)
    sums = st.builds(
        lambda op, a, b: op(a, b),
        st.sampled_from(
            [
                Expression.__add__,
                Expression.__sub__,
                Expression.__mul__,
                Expression.__truediv__,
                Expression.__mod__,
            ]
        ),
        plain,
        plain | figures,
    )
    back = st.builds(lambda figure, a: figure - a, figures, filled)
    return st.one_of(plain, filled, sums, back)


def clauses() -> st.SearchStrategy[Condition]:
    values = expressions()
    return st.one_of(
        st.builds(lambda a, b: a == b, values, values | literals),
        st.builds(lambda a, b: a != b, values, values | literals),
        st.builds(
            lambda op, a, b: op(a, b),
            st.sampled_from([Expression.__lt__, Expression.__le__, Expression.__gt__, Expression.__ge__]),
            values,
            values | ordered,
        ),
        st.builds(lambda a, items: a.is_in(items), values, st.lists(literals, max_size=14)),
        st.builds(lambda a, text: a.starts_with(text), values, texts),
        st.builds(lambda a, text: a.ends_with(text), values, texts),
        names.map(lambda name: F(name).exists()),
        names.map(lambda name: F(name).is_missing()),
        st.sampled_from([always, never]),
    )


rules = st.recursive(
    clauses(),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda a: ~a),
    ),
    max_leaves=6,
)


@settings(max_examples=500)
@given(rules, batches())
def test_columns_answer_as_rows_do(rule: Condition, batch: tuple[dict[str, Any], int]) -> None:
    """By column a rule gives what it gives for each row alone, unknown included, and never raises."""
    columns, n = batch
    truth = rule.evaluate_columns(columns, n)
    assert truth.true.dtype == truth.false.dtype == truth.unknown.dtype == np.bool_
    assert truth.true.shape == truth.unknown.shape == (n,)
    assert not (truth.true & truth.false).any()
    assert answers(truth) == [rule.evaluate(row) for row in rows_of(columns, n)]


@settings(max_examples=1000)
@given(clauses(), batches())
def test_a_clause_in_columns_answers_as_in_rows(rule: Condition, batch: tuple[dict[str, Any], int]) -> None:
    """The same, clause by clause, where nothing hides a difference."""
    columns, n = batch
    assert answers(rule.evaluate_columns(columns, n)) == [rule.evaluate(row) for row in rows_of(columns, n)]


@given(rules, batches(), texts)
def test_what_is_decided_without_the_text_holds_for_every_text(
    rule: Condition, batch: tuple[dict[str, Any], int], text: str
) -> None:
    """Whatever a coded column's other text turns out to be, a known answer stands."""
    columns, n = batch
    for row in rows_of(columns, n):
        answer = rule.evaluate(row)
        full = {
            name: text if isinstance(value, Unlisted) and text not in value.categories else value
            for name, value in row.items()
        }
        assert answer is None or rule.evaluate(full) == answer


@given(rules, batches())
def test_an_explanation_is_empty_exactly_when_satisfied(
    rule: Condition, batch: tuple[dict[str, Any], int]
) -> None:
    """`explain` says something exactly when the rule is not satisfied, whatever the values."""
    for row in rows_of(*batch):
        assert (rule.explain(row) == []) == (rule.evaluate(row) is True)


@given(rules)
def test_a_rule_survives_its_stored_form(rule: Condition) -> None:
    """Stored as JSON and read back, a rule is equal, has the same hash and the same fields."""
    back = load(json.loads(json.dumps(rule.to_json(), allow_nan=False)))
    assert back == rule
    assert hash(back) == hash(rule)
    assert back.fields == rule.fields


@given(rules)
def test_the_repr_is_the_source(rule: Condition) -> None:
    """Evaluating the repr in Python writes the same rule."""
    source = eval(repr(rule), {"F": F, "always": always, "never": never})
    assert source == rule


@pytest.mark.parametrize("a", TRUTHS)
@pytest.mark.parametrize("b", TRUTHS)
def test_and_or_follow_kleene(a: bool | None, b: bool | None) -> None:
    """False decides an and, true decides an or; else the unknown stays unknown."""
    both = False if False in {a, b} else None if None in {a, b} else True
    either = True if True in {a, b} else None if None in {a, b} else False
    for rule, answer in ((TRUTHS[a] & TRUTHS[b], both), (TRUTHS[a] | TRUTHS[b], either)):
        assert rule.evaluate(ROW) is answer
        assert judged(rule, n=np.array([1])) == [answer]


@pytest.mark.parametrize(("a", "answer"), [(True, False), (False, True), (None, None)])
def test_not_keeps_unknown(a: bool | None, answer: bool | None) -> None:
    """Not turns true and false around and leaves unknown."""
    assert (~TRUTHS[a]).evaluate(ROW) is answer
    assert judged(~TRUTHS[a], n=np.array([1])) == [answer]


@pytest.mark.parametrize(
    ("rule", "value", "answer"),
    [
        (F("x") >= 18, 18, True),
        (F("x") >= 18, "18", None),
        (F("x") >= 18, True, None),
        (F("x") >= 18, None, None),
        (F("x") >= 18, NAN, None),
        (F("x") >= 18, 10**400, True),
        (F("x") >= 18, [18], None),
        (F("x") == 18, "18", False),
        (F("x") != 18, "18", True),
        (F("x") == 1, True, False),
        (F("x") == "a", ["a"], None),
        (F("x").is_true(), True, True),
        (F("x").is_true(), 1, False),
        (F("x") < "b", "a", True),
        (F("x").is_in(["a", 1]), True, False),
        (F("x").is_in([1]), 1.0, True),
        (F("x").is_in([True]), True, True),
        (F("x").is_in([]), 1, False),
        (F("x").is_in(["a"]), None, None),
        (F("x").is_in(["a"]), [], None),
        (F("x").between(1, 2), 2, True),
        (F("x").between(1, 2), 3, False),
        (F("x").starts_with("IN"), "IN-KA", True),
        (F("x").ends_with("KA"), "IN-KL", False),
        (F("x").starts_with("1"), 1, None),
        (F("x").exists(), [], True),
        (F("x").exists(), NAN, False),
        (F("x").is_missing(), None, True),
        (F("x").or_else(0) == 0, None, True),
        (F("x") / 0 > 1, 1, None),
        (F("x") % 0 > 1, 1, None),
        (F("x") % 3 == -1, -7, True),
        (10 - F("x") == 7, 3, True),
        (10 + F("x") == 13, 3, True),
        (2 * F("x") == 6, 3, True),
        (6 / F("x") == 2, 3, True),
        (7 % F("x") == 1, 3, True),
        (-F("x") == -3, 3, True),
        (F("x") + 1 > 1, "a", None),
        (F("x") + 1 > 1, 10**400, None),
        (F("x") * 1e308 > 1, 1e308, True),
        (F("x") == 1, Decimal(1), True),
        (F("x") == 0.5, Fraction(1, 2), True),
        (F("x") == "a", np.str_("a"), True),
        (F("x").is_true(), np.bool_(True), True),
        (F("x") == 1, Decimal("sNaN"), None),
        (F("x").exists(), Decimal("sNaN"), True),
        (always, None, True),
        (never, None, False),
    ],
)
def test_meaning(rule: Condition, value: object, answer: bool | None) -> None:
    """Each case of the meaning, for one value and for a column of it."""
    assert rule.evaluate({"x": value}) is answer
    assert judged(rule, x=objects(value)) == [answer]


def test_a_text_enum_is_its_text() -> None:
    """A member of a text enum is compared by its text, not by how it prints."""
    colour = enum.Enum("colour", {"RED": "red"}, type=str)
    assert (F("x") == "red").evaluate({"x": colour.RED}) is True
    assert (F("x") == 200).evaluate({"x": HTTPStatus.OK}) is True


def test_whole_numbers_compare_exactly() -> None:
    """Ids past 2**53 are told apart, also from fractional numbers."""
    one, next_one = np.array([EXACT + 1]), np.array([EXACT])
    assert judged(F("a") == F("b"), a=one, b=next_one) == [False]
    assert judged(F("a") == F("b"), a=one, b=next_one.astype(np.float64)) == [False]
    assert judged(F("a") == float(EXACT), a=one) == [False]
    assert judged(F("a") == F("b"), a=one, b=one.astype(np.uint64)) == [True]
    assert judged(F("a").is_in([float(EXACT)]), a=one) == [False]
    assert judged(F("a") > 0.5, a=np.array([0, 1], np.int8)) == [False, True]


def test_an_absent_column_is_missing_everywhere() -> None:
    """A rule on a column nobody gave is unknown, and its fields can be checked up front."""
    rule = (F("age") >= 18) & (F("tier") == "gold")
    assert answers(rule.evaluate_columns({}, 2)) == [None, None]
    assert answers(F("age").is_missing().evaluate_columns({}, 2)) == [True, True]
    assert answers((F("age").or_else(20) >= F("low").or_else(18)).evaluate_columns({}, 2)) == [True, True]
    filled = F("age").or_else(20)
    assert answers(filled.is_in([20]).evaluate_columns({}, 1)) == [True]
    assert answers((filled == F("low")).evaluate_columns({"low": np.array([20])}, 1)) == [True]
    assert rule.fields == {"age", "tier"}
    rule.check_fields(["age", "tier", "more"])
    with pytest.raises(UnknownFeatureError, match="did you mean 'ages'") as caught:
        rule.check_fields(["ages", "tier"])
    assert caught.value.facts["name"] == "age"
    with pytest.raises(UnknownFeatureError, match="declare it"):
        rule.check_fields([])


def test_a_dotted_name_is_a_path() -> None:
    """``a.b`` is the entry of that name, else b within a; by column it is the column of that name."""
    rule = F("a.b") == 1
    assert rule.evaluate({"a": {"b": 1}}) is True
    assert rule.evaluate({"a.b": 1, "a": {"b": 2}}) is True
    assert rule.evaluate({"a": 3}) is None
    assert rule.evaluate({"a": {"b": None}}) is None
    assert judged(rule, **{"a.b": np.array([1, 2])}) == [True, False]


def test_columns_must_fit() -> None:
    """A column that is not an array of n rows is the caller's mistake and is refused."""
    for column in (np.array([1.0]), [1.0, 2.0], np.zeros((2, 1)), Coded(np.zeros(3), ["a"])):
        with pytest.raises(InvalidContextError, match="shape"):
            (F("x") > 1).evaluate_columns({"x": column}, 2)  # type: ignore[dict-item] # that is the point


def test_exotic_columns_are_read_element_by_element() -> None:
    """Dates, complex numbers and bytes are there, and cannot be judged."""
    for column in (np.array(["2026-01-01"], "datetime64[ns]"), np.array([1j]), np.array([b"a"])):
        assert judged(F("x").exists(), x=column) == [True]
        assert judged(F("x") == 1, x=column) == [None]


@pytest.mark.parametrize("codes", [np.array([0.0, 1.0, -1.0, NAN]), np.array([0, 1, -1, -2])])
def test_a_coded_column_knows_what_other_is_not(codes: np.ndarray) -> None:
    """Some other text differs from each category, and may be any text that is not one."""
    tier = Coded(codes, ["free", "gold"])
    assert tier.values() == ["free", "gold", Unlisted(("free", "gold")), None]
    assert judged(F("t") == "gold", t=tier) == [False, True, False, None]
    assert judged(F("t") != "gold", t=tier) == [True, False, True, None]
    assert judged(F("t") == "ruby", t=tier) == [False, False, None, None]
    assert judged(F("t") == 1, t=tier) == [False, False, False, None]
    assert judged(F("t") > "fz", t=tier) == [False, True, None, None]
    assert judged(F("t").is_in(["gold"]), t=tier) == [False, True, False, None]
    assert judged(F("t").is_in(["gold", "ruby"]), t=tier) == [False, True, None, None]
    assert judged(F("t").starts_with("g"), t=tier) == [False, True, None, None]
    assert judged(F("t").exists(), t=tier) == [True, True, True, False]
    assert judged(F("t").or_else("gold") == "gold", t=tier) == [False, True, False, True]
    assert judged(F("t").or_else("ruby") == "ruby", t=tier) == [False, False, None, True]
    assert judged(F("t") == F("t"), t=tier) == [True, True, None, None]
    assert judged(F("t") + 1 > 0, t=tier) == [None] * 4


def test_codes_must_be_numbers_in_a_row() -> None:
    """Codes that are unsigned, texts or a table are refused."""
    for codes in (np.zeros(1, np.uint8), np.array(["a"]), np.zeros((1, 1)), [0.0]):
        with pytest.raises(InvalidContextError, match="floats or signed ints"):
            Coded(codes, ["a"])  # type: ignore[arg-type] # that is the point


def test_many_literals_are_found_in_columns() -> None:
    """A long list is looked up as a short one is."""
    many = [*range(20), *(f"t{i}" for i in range(20)), 0.5, 1e300]
    assert judged(F("x").is_in(many), x=np.array([3, 99])) == [True, False]
    assert judged(F("x").is_in(many), x=np.array([0.5, 99.0, NAN])) == [True, False, None]
    assert judged(F("x").is_in(many), x=np.array(["t3", "u"])) == [True, False]
    assert judged(F("x").is_in(many), x=np.array([True])) == [False]


def test_a_rule_has_no_truth_of_its_own() -> None:
    """``and``, ``in`` and chains raise, and the message says what to write instead."""
    for use in (
        lambda: F("a") and 1,
        lambda: bool(F("a") > 1),
        lambda: 1 < F("a") < 3,
        lambda: F("a") in ["x", "y"],
    ):
        with pytest.raises(ConditionError, match=r"& \| ~"):
            use()


def test_rules_are_values() -> None:
    """Equal rules are equal and hash alike; a flag, a number and a text are never the same literal."""
    assert (F("a") >= 1) == (F("a") >= 1.0)
    assert (18 <= F("a")) == (F("a") >= 18)  # noqa: SIM300 - that is the point
    assert (F("a") == 1) != (F("a") == True)  # noqa: E712 - a literal of the rule
    assert (F("a") == 1) != (F("a") == "1")
    assert (F("a") == 1) != 1
    assert len({F("a") > 1, F("a") > 1, F("a") > 2}) == 2
    assert F("a").same_as(F("a"))
    assert not F("a").same_as(F("b"))
    assert not F("a").same_as("a")
    assert hash(F("a")) == hash(F("a"))
    assert F("a").is_in({"x", "y"}) == F("a").is_in(["x", "y"])
    with pytest.raises(AttributeError):
        F("a").name = "b"  # type: ignore[misc] # that is the point


def test_an_expression_has_a_value() -> None:
    """An expression can be asked for its value, which is missing when it is no scalar."""
    ratio = F("ltv") / F("orders")
    assert ratio.evaluate({"ltv": 10, "orders": 4}) == 2.5
    assert ratio.evaluate({"ltv": 10, "orders": 0}) is None
    assert F("x").evaluate({"x": [1]}) is None
    assert load_expression(ratio.to_json()).same_as(ratio)
    assert load_expression(3).evaluate({}) == 3


def test_a_long_chain_is_not_deep() -> None:
    """A chain of and is one and, however it is bracketed."""
    clause = F("a") > 1
    chain = clause
    for _ in range(100):
        chain = chain & clause
    assert chain.to_json() == {"and": [clause.to_json()] * 101}
    assert (clause & (clause & clause)) == ((clause & clause) & clause)


def test_numpy_literals_leave_the_operator_to_us() -> None:
    """A numpy scalar on the left does not swallow the field."""
    assert (np.float64(18) <= F("a")) == (F("a") >= 18)
    two: Any = np.int64(2)  # Any: numpy types its operators for arrays only
    assert (two * F("a")).same_as(2 * F("a"))


@pytest.mark.parametrize(
    ("rule", "row", "lines"),
    [
        (F("age") >= 18, {"age": 16}, ["age >= 18: age is 16"]),
        (F("tier") == "gold", {}, ["tier == 'gold': tier is missing"]),
        (
            (F("age") >= 18) & (F("tier") == "gold"),
            {"age": 20, "tier": "free"},
            ["tier == 'gold': tier is 'free'"],
        ),
        ((F("a") > 1) | (F("b") > 1), {"a": 0}, ["a > 1: a is 0, or b > 1: b is missing"]),
        (~((F("a") > 1) | (F("b") > 1)), {"a": 2, "b": 0}, ["a <= 1: a is 2"]),
        (~((F("a") > 1) & (F("b") > 1)), {"a": 2, "b": 3}, ["a <= 1: a is 2, or b <= 1: b is 3"]),
        (F("age") >= 18, {"age": "16"}, ["age >= 18: age is '16' (cannot be judged)"]),
        (F("a") / F("b") > 1, {"a": 1, "b": 0}, ["a / b > 1: a is 1, b is 0 (cannot be judged)"]),
        ((F("a") + 1) * 2 > 1, {"a": -9}, ["(a + 1) * 2 > 1: a is -9"]),
        (F("a").or_else(0) > 1, {}, ["a (or 0) > 1: a is missing"]),
        (F("c").is_in(["IN", "LK"]), {"c": "US"}, ["c in ['IN', 'LK']: c is 'US'"]),
        (~F("c").is_in([1]), {"c": 1}, ["c not in [1]: c is 1"]),
        (F("c").is_in(range(9)), {"c": 9}, ["c in [0, 1, 2, 3, 4, ... 9 values]: c is 9"]),
        (F("c").starts_with("x"), {"c": "y"}, ["c starts with 'x': c is 'y'"]),
        (~F("c").ends_with("x"), {"c": "x"}, ["c does not end with 'x': c is 'x'"]),
        (F("c").exists(), {}, ["c known: c is missing"]),
        (F("c").is_missing(), {"c": [1]}, ["c missing: c is a list"]),
        (
            F("c") == "a",
            {"c": Unlisted(("b",))},
            ["c == 'a': c is a value outside the known categories (cannot be judged)"],
        ),
        (F("c") == "a", {"c": "b" * 99}, [f"c == 'a': c is '{'b' * 80}'... (99 characters)"]),
        (F("c") < 1, {"c": 10**5000}, ["c < 1: c is a whole number of 16,610 bits"]),
        (never, {}, ["never: the rule says so"]),
        (~always, {}, ["always: the rule says so"]),
        (always, {}, []),
    ],
)
def test_explain(rule: Condition, row: dict[str, object], lines: list[str]) -> None:
    """An explanation names what is false or unknown, with the values seen, and nothing else."""
    assert rule.explain(row) == lines


def nested(levels: int) -> object:
    data: object = True
    for _ in range(levels):
        data = {"!": [data]}
    return data


AGE = {"var": "age"}


@pytest.mark.parametrize(
    ("data", "path", "match"),
    [
        (None, "$", "got None"),
        (1, "$", "got 1"),
        ("age >= 18", "$", "operator"),
        ([], "$", "a list"),
        ({}, "$", "operator"),
        ({"and": [True], "or": [True]}, "$", "one operator per object"),
        ({"regex": [AGE, "x"]}, "$", "not supported"),
        ({1: [AGE]}, "$", "not supported"),
        (AGE, "$", "compare values"),
        ({"and": [AGE]}, "$.and[0]", "compare values"),
        ({"and": []}, "$", "operands of 'and'"),
        ({"!": [True, True]}, "$", "expected 1, got 2"),
        ({"<": [1, 2, 3, 4]}, "$", "2 to 3"),
        ({">": [1, AGE, 3]}, "$", "expected 2, got 3"),
        ({">=": [AGE, None]}, "$.>=[1]", "is_missing"),
        ({">=": [AGE, [1]]}, "$.>=[1]", "a list"),
        ({">=": [AGE, {"and": [True]}]}, "$.>=[1]", "compare values"),
        ({">=": [AGE, NAN]}, "$.>=[1]", "got nan"),
        ({">=": [AGE, math.inf]}, "$.>=[1]", "finite"),
        ({">=": [AGE, EXACT]}, "$.>=[1]", r"2\*\*53"),
        ({">=": [AGE, -(10**5000)]}, "$.>=[1]", "bits"),
        ({">=": [AGE, True]}, "$", "can never be known"),
        ({">=": ["a", 1]}, "$", "can never be known"),
        ({"==": [AGE, "x" * (MAX_TEXT + 1)]}, "$.==[1]", "1,001 characters"),
        ({"==": [AGE, "\ud800"]}, "$.==[1]", "UTF-8"),
        ({"==": [{"var": 1}, 1]}, "$.==[0]", "field's name"),
        ({"==": [{"var": ""}, 1]}, "$.==[0]", "field's name"),
        ({"==": [{"var": []}, 1]}, "$.==[0]", "1 to 2"),
        ({"==": [{"var": ["a", None]}, 1]}, "$.==[0]", "literal"),
        ({"in": ["a", "abc"]}, "$", "list of literals"),
        ({"in": [AGE, {"var": "b"}]}, "$", "list of literals"),
        ({"in": [AGE, [1, [2]]]}, "$", "literal"),
        ({"in": [AGE, [None]]}, "$", "literal"),
        ({"in": [AGE, [1] * (MAX_ITEMS + 1)]}, "$", "at most 10,000, got 10001"),
        ({"starts_with": [AGE, 1]}, "$", "a text"),
        ({"starts_with": ["a", "a"]}, "$", "a field"),
        ({"exists": [1]}, "$", "part of a path"),
        ({"exists": ["x" * MAX_TEXT, "y"]}, "$", "characters"),
        ({"==": [{"+": ["a", AGE]}, 1]}, "$.==[0]", "a number"),
        ({"==": [{"/": [1, 0]}, 1]}, "$.==[0]", "literal"),
        ({"==": [{"+": [1]}, 1]}, "$.==[0]", "2 to 32"),
        (nested(MAX_DEPTH), "$" + ".![0]" * MAX_DEPTH, "depth"),
        (nested(100_000), "$" + ".![0]" * MAX_DEPTH, "depth"),
        ({"and": [True] * MAX_NODES}, "$.and[1999]", "size"),
        ({"and": [True] * (MAX_NODES + 1)}, "$", "operands"),
        ({"and": [{">": [AGE, 1]}] * 700}, "$.and[666].>[0]", "size"),
        ({"==": [{"+": [AGE] * 32}, 1]}, "$", "depth"),
    ],
)
def test_load_refuses(data: object, path: str, match: str) -> None:
    """What is malformed, too large or can never be known is refused, saying where and what to do."""
    with pytest.raises(ConditionError, match=match) as caught:
        load(data)
    assert caught.value.facts["path"] == path
    assert {"what", "expected", "value", "advice"} <= caught.value.facts.keys()
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "source",
    [
        "F('')",
        "F(1)",
        "F('a') == None",
        "F('a') > [1]",
        "F('a') > NAN",
        "F('a') == 2**53",
        "F('a') < True",
        "F('a') == (F('b') > 1)",
        "F('a') + 'x'",
        "F('a').is_in('abc')",
        "F('a').is_in(1)",
        "F('a').is_in([F('b')])",
        "F('a').starts_with(F('b'))",
        "F('a').or_else(None)",
        "F('vip') & (F('a') > 1)",
        "(F('a') > 1) & F('vip')",
        "(F('a') > 1) | True",
        "True | F('a')",
        "~F('vip')",
    ],
)
def test_what_load_would_refuse_cannot_be_written(source: str) -> None:
    """Authors meet the rules of the stored form while writing, so that every rule can be stored."""
    with pytest.raises(ConditionError, match="expected"):
        eval(source, {"F": F, "NAN": NAN})  # our own text


def test_an_author_meets_the_size_limits() -> None:
    """A rule grows to exactly the limits, and what it grew to can be read back."""
    rule = F("a") > 1
    deep, wide = rule, rule
    for _ in range(MAX_DEPTH - 2):
        deep = ~deep
    for _ in range((MAX_NODES - 1) // 3 - 1):
        wide = wide & rule
    assert load(deep.to_json()) == deep
    assert load(wide.to_json()) == wide
    with pytest.raises(ConditionError, match="depth"):
        assert ~deep
    with pytest.raises(ConditionError, match="size"):
        assert wide & rule


@given(
    st.recursive(
        things,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["and", "or", "!", "==", "<", "in", "var", "+", "-", "exists", "starts_with", "x"]
                ),
                inner,
                max_size=2,
            )
        ),
        max_leaves=8,
    )
)
@example({"!": [True]})
def test_load_only_raises_its_own_error(data: object) -> None:
    """Whatever it is given, `load` returns a rule that can be stored, or raises ConditionError."""
    try:
        rule = load(data)
    except ConditionError:
        return
    assert load(rule.to_json()) == rule


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (True, always),
        ({"!": False}, ~never),
        ({"===": [AGE, 1]}, F("age") == 1),
        ({"!==": [AGE, 1]}, F("age") != 1),
        ({">": [1, AGE]}, F("age") < 1),
        ({"<=": [1, AGE, 3]}, F("age").between(1, 3)),
        ({"<": [1, AGE, 3]}, (F("age") > 1) & (F("age") < 3)),
        ({"<": [1, 2]}, always),
        ({"==": [1, "1"]}, never),
        ({"in": [1, [1, 2]]}, always),
        ({"in": [3, [1, 2]]}, never),
        ({"and": [{"==": [AGE, 1]}]}, F("age") == 1),
        ({"exists": "age"}, F("age").exists()),
        ({"exists": ["a", "b"]}, F("a.b").exists()),
        ({"==": [{"var": ["age", 0]}, 1]}, F("age").or_else(0) == 1),
        ({"==": [{"+": [AGE, 1, 2]}, 1]}, F("age") + 1 + 2 == 1),
        ({"==": [{"-": AGE}, 1]}, -F("age") == 1),
        ({"==": [{"+": [1, 2]}, AGE]}, F("age") == 3),
    ],
)
def test_load_reads_other_spellings(data: object, rule: Condition) -> None:
    """Spellings of JsonLogic that a strict profile can hold mean the one we write."""
    assert load(data) == rule


def test_the_door_is_sorted() -> None:
    """What the module offers is listed, capitals first."""
    assert sorted(agentic.conditions.__all__) == sorted(set(agentic.conditions.__all__))
