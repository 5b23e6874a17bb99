"""The tests. Helper modules assert too; pytest shows what differed there only if told to rewrite them."""

import pytest

pytest.register_assert_rewrite("tests.calls", "tests.client", "tests.runs")
