"""Makes calls of a Python function run another one, without replacing the function object.

A patched ``F.cross_entropy`` stays the object it was: names imported before see the change, pickles and ``isinstance``
checks see none, and undoing it is one assignment. What changes is its ``__code__``. The new code reports the file and
line of the old, so that ``torch.jit.script`` and ``inspect`` read the source of the original.
"""

from __future__ import annotations

import inspect
import threading
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.compiler import is_compiling
from torch.overrides import has_torch_function


def _reason_to_step_aside(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> str | None:
    """Why the stock function must run: something records the call by torch's own names, or a subclass wants it."""
    if is_compiling() or torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack():
        return "tracing"
    if has_torch_function((*arguments, *keywords.values())):
        return "subclass"
    return None


class Redirect:
    """One function of torch and its replacement.

    Args:
        function: a Python function without a closure.
        replacement: same signature, same meaning.

    Attributes:
        stock: runs the original code, whatever the state.
        calls: calls while redirected, under ``"calls"``, and those that the stock code served, by their reason.
            ``"error"``: the replacement raised, and the stock code was asked to.
    """

    def __init__(self, function: types.FunctionType, replacement: Callable[..., Any]) -> None:
        self.function = function
        self.calls: Counter[str] = Counter()
        self._code = function.__code__
        self.stock = types.FunctionType(self._code, function.__globals__, function.__name__, function.__defaults__)
        self.stock.__kwdefaults__ = function.__kwdefaults__
        self._hook = f"_torchext_{function.__name__}"
        calls, stock, state = self.calls, self.stock, threading.local()

        def run(*arguments: Any, **keywords: Any) -> Any:
            if getattr(state, "inside", False):  # the replacement declines an input, and calls torch's by its name
                return stock(*arguments, **keywords)
            calls["calls"] += 1
            if reason := _reason_to_step_aside(arguments, keywords):
                calls[reason] += 1
                return stock(*arguments, **keywords)
            state.inside = True
            try:
                return replacement(*arguments, **keywords)
            except Exception:
                calls["error"] += 1
            finally:
                state.inside = False
            return stock(*arguments, **keywords)  # a wrong call is refused in torch's words

        self._run = run
        self._new_code = self._make_code()

    def _make_code(self) -> types.CodeType:
        """``return hook(every parameter)`` under the original's parameters."""
        definition, call = [], []
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY and "*" not in definition:
                definition.append("*")
            definition.append(parameter.name)
            keyword = parameter.kind is parameter.KEYWORD_ONLY
            call.append(f"{parameter.name}={parameter.name}" if keyword else parameter.name)
        scope: dict[str, Any] = {}
        name = self.function.__name__
        exec(f"def {name}({', '.join(definition)}): return {self._hook}({', '.join(call)})", scope)
        old = self._code
        return scope[name].__code__.replace(co_filename=old.co_filename, co_firstlineno=old.co_firstlineno)

    @property
    def on(self) -> bool:
        """Whether calls run the replacement."""
        return self.function.__code__ is self._new_code

    def switch(self, on: bool) -> None:
        """Redirects calls, or lets the original run again."""
        if on:
            self.function.__globals__[self._hook] = self._run
            self.function.__code__ = self._new_code
        elif self.on:
            self.function.__code__ = self._code  # the hook stays: other threads may be on their way to it

    @property
    def is_shadowed(self) -> bool:
        """Whether another library has put a function of its own under this name."""
        return self.function.__globals__.get(self.function.__name__) is not self.function
