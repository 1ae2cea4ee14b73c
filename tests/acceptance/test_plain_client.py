"""The client that drives the acceptance tests is a stranger's: nothing of ours is in it."""

import ast
import sys
from pathlib import Path

_CLIENT = Path(__file__).with_name("plain_client.py")


def test_the_plain_client_imports_aio_pika_and_the_standard_library_only() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(_CLIENT.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"aio_pika"}
