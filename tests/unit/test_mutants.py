"""The mistakes of tests/torture/mutants.toml can still be planted; `scripts/torture --mutants`: are they caught?"""

from __future__ import annotations

import ast

import pytest

from tests.torture.mutants import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_has_its_place_in_the_code_and_its_tests(mutant: Mutant) -> None:
    # The code moves on, the mutant is never planted, and nobody knows any more whether its tests can fail.
    files: dict[str, str] = {}
    for edit in mutant.edits:
        path = ROOT / "oicp_adapter" / edit.file
        before = files.get(str(path)) or path.read_text(encoding="utf-8")
        files[str(path)] = edit.planted(before)
    for code in files.values():
        ast.parse(code)
    for test in mutant.caught_by:
        name, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / name).read_text(encoding="utf-8") or not function
