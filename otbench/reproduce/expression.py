"""Claims as expressions, such as ``disc.w2.ours < 0.5 * disc.w2.baseline``.

A number of a reproduction is written ``run.quantity.method``. Expressions combine such numbers with
constants, ``+ - * /``, ``min``, ``max``, ``abs``, comparisons, ``and``, ``or`` and ``not``. They
cannot contain anything else, so that a declaration cannot run code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otbench.errors import UsageError

Address = tuple[str, str, str]
"""Run, quantity and method of a number."""

HOLDS, FAILS = "holds", "fails"

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}


@dataclass(frozen=True)
class Comparison:
    """An inequality between two arithmetic expressions.

    Attributes
    ----------
    left, right : str
        Arithmetic expressions.
    less : bool
        Whether the left side, not the right one, must be the smaller.
    strict : bool
        Whether the inequality is strict.
    """

    left: str
    right: str
    less: bool
    strict: bool


@dataclass(frozen=True)
class Expression:
    """A claim whose syntax has been checked.

    Attributes
    ----------
    text : str
    addresses : tuple of Address
        The numbers that it contains, each once, in order.
    comparisons : tuple of Comparison
        Comparisons of two sides each; ``a < b < c`` gives two.
    """

    text: str
    addresses: tuple[Address, ...]
    comparisons: tuple[Comparison, ...]

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Parse an expression.

        Raises
        ------
        UsageError
            If the text is not an expression, or uses anything that this module does not allow.
        """
        found: dict[Address, None] = {}

        def collect(address: Address) -> float:
            found[address] = None
            # Distinct powers of two, so that no difference in a denominator vanishes.
            return float(2 ** len(found))

        tree = _tree(text)
        if not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
            raise UsageError(f"the claim '{text}' has no comparison")
        _Evaluation(text, collect).of(tree)
        return cls(text, tuple(found), tuple(_comparisons(tree)))

    def holds(self, values: Mapping[Address, float]) -> bool:
        """Evaluate with the given numbers.

        Raises
        ------
        KeyError
            If a number is missing.
        """
        return bool(_Evaluation(self.text, values.__getitem__).of(_tree(self.text)))

    def margin(self, comparison: Comparison, values: Mapping[Address, float]) -> float:
        """Return the margin by which the given numbers satisfy a comparison; negative if they fail.

        Raises
        ------
        ZeroDivisionError
            If a divisor is 0.
        """
        evaluate = _Evaluation(self.text, values.__getitem__).of
        left, right = (float(evaluate(_tree(side))) for side in (comparison.left, comparison.right))
        return right - left if comparison.less else left - right

    def joined(self, states: Mapping[Comparison, str]) -> str:
        """Return the state of the claim, given the states of its comparisons."""
        return _joined(_tree(self.text), states)

    def filled_in(self, values: Mapping[Address, float], write: Callable[[float], str]) -> str:
        """Return the text with each address followed by its number."""
        text = self.text
        for address in sorted(self.addresses, key=lambda parts: -len(".".join(parts))):
            name = ".".join(address)
            text = text.replace(name, write(values[address]) if address in values else "?")
        return text


def _comparisons(node: ast.expr) -> list[Comparison]:
    match node:
        case ast.BoolOp():
            return [one for part in node.values for one in _comparisons(part)]
        case ast.UnaryOp(op=ast.Not()):
            return _comparisons(node.operand)
        case ast.Compare():
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            return [
                Comparison(
                    left, right, isinstance(op, ast.Lt | ast.LtE), isinstance(op, ast.Lt | ast.Gt)
                )
                for op, left, right in zip(node.ops, sides, sides[1:], strict=False)
            ]
    return []


def _joined(node: ast.expr, states: Mapping[Comparison, str]) -> str:
    strong, weak = FAILS, HOLDS
    match node:
        case ast.UnaryOp(op=ast.Not()):
            inner = _joined(node.operand, states)
            return {HOLDS: FAILS, FAILS: HOLDS}.get(inner, inner)
        case ast.BoolOp(op=ast.Or()):
            strong, weak = HOLDS, FAILS
            parts = [_joined(part, states) for part in node.values]
        case ast.BoolOp():
            parts = [_joined(part, states) for part in node.values]
        case _:
            parts = [states[comparison] for comparison in _comparisons(node)]
    if strong in parts:
        return strong
    open_ = [part for part in parts if part != weak]
    return open_[0] if open_ else weak


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise UsageError(f"the claim '{text}' is not an expression: {error.msg}") from error


class _Evaluation:
    def __init__(self, text: str, value_of: Callable[[Address], float]) -> None:
        self.text = text
        self.value_of = value_of

    def of(self, node: ast.expr) -> Any:
        """Evaluate a part of the tree."""
        match node:
            case ast.BoolOp():
                parts = [self.of(part) for part in node.values]
                return all(parts) if isinstance(node.op, ast.And) else any(parts)
            case ast.UnaryOp(op=ast.Not()):
                return not self.of(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return -self.of(node.operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](self.of(node.left), self.of(node.right))
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                sides = [self.of(part) for part in (node.left, *node.comparators)]
                pairs = zip(node.ops, sides, sides[1:], strict=False)
                return all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS and node.args:
                return _FUNCTIONS[name](*map(self.of, node.args))
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return float(value)
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id=run), attr=quantity), attr=method
            ):
                return self.value_of((run, quantity, method))
        raise UsageError(
            f"the claim '{self.text}' contains '{ast.unparse(node)}'; allowed are numbers written "
            f"run.quantity.method, + - * /, {', '.join(_FUNCTIONS)}, comparisons, and, or, not"
        )
