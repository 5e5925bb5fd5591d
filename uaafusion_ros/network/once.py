"""What is computed when it is first read, and then kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

_Value = TypeVar("_Value")


def once(compute: Callable[[Any], _Value]) -> _Value:
    """As functools' `cached_property`, but without the lock that it has before Python 3.12.

    PyTorch's compiler does not see through locks; and a frame belongs to one thread.
    """
    name = f"_kept_{compute.__name__}"

    def read(owner: Any) -> _Value:
        if not hasattr(owner, name):
            setattr(owner, name, compute(owner))
        return cast(_Value, getattr(owner, name))

    return cast(_Value, property(read, doc=compute.__doc__))
