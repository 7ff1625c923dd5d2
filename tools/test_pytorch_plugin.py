"""A plugin for the pytest that test_pytorch.py starts.

It runs only the tests that the file TORCHEXT_ONLY lists, if that is set, and writes the hits of every override in each
process to the file that TORCHEXT_HITS names, plus the process's number.
"""

import json
import os
from pathlib import Path

import pytest

import torchext


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Names as in JUnit's reports: module.Class::test."""
    if "TORCHEXT_ONLY" not in os.environ:
        return
    only = set(Path(os.environ["TORCHEXT_ONLY"]).read_text().splitlines())
    kept = [item for item in items if item.cls and f"{item.module.__name__}.{item.cls.__name__}::{item.name}" in only]
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept


def pytest_sessionfinish() -> None:
    """Writes the table."""
    hits = {entry.name: entry.hits for entry in torchext.report().entries if entry.hits}
    with open(f"{os.environ['TORCHEXT_HITS']}-{os.getpid()}", "w") as file:
        json.dump(hits, file)
