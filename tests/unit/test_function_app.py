"""The index gate: what Microsoft's runtime makes of function_app.py, and what importing it costs.

After a wanted change: `python -m tests.unit.test_function_app > tests/golden/functions.json`, and read the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/functions.json"

SETTINGS: dict[str, dict[str, str]] = {
    "nothing configured": {},
    "everything, by identity": {
        "HooklineStorage__blobServiceUri": "https://contoso.blob.core.windows.net",
        "HooklineNotifications__fullyQualifiedNamespace": "contoso.servicebus.windows.net",
        "HOOKLINE_NOTIFICATIONS_HUB": "events",
        "HOOKLINE_NOTIFICATIONS_GROUP": "hookline",
    },
}

INDEX = """
import json, sys
from pathlib import Path
from local.trigger_host.runtime import FunctionApp

app = FunctionApp.load(Path(sys.argv[1]), json.loads(sys.argv[2]))
described = {f.name: {"bindings": f.bindings, "retry": f.retry and vars(f.retry)} for f in app.functions.values()}
print(json.dumps(described))
"""

#: modules that a cold start must not wait for
HEAVY = (
    "shared",
    "connectors",
    "sqlglot",
    "azure.eventhub",
    "azure.keyvault",
    "pyapacheatlas",
    "yaml",
    "msgspec",
    "psycopg",
)
IMPORT = """
import sys, time
began = time.process_time()
import function_app
print(time.process_time() - began)
print(*sys.modules)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.upper().startswith(("HOOKLINE", "AZUREWEBJOBS"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**clean, "PYTHONPATH": str(ROOT)},
    )


def index(settings: dict[str, str], app: Path = ROOT) -> dict[str, Any]:
    done = run(INDEX, str(app), json.dumps(settings))
    if done.returncode:
        raise AssertionError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", SETTINGS)
def test_functions_and_bindings_are_those_of_the_golden_file(case: str) -> None:
    assert index(SETTINGS[case]) == json.loads(GOLDEN.read_text("utf-8"))[case]


def test_without_a_notification_hub_only_confirm_is_missing() -> None:
    golden = json.loads(GOLDEN.read_text("utf-8"))
    found = index({"HooklineNotifications": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=k;SharedAccessKey=k"})
    assert found == golden["nothing configured"]
    assert set(golden["everything, by identity"]) - set(found) == {"confirm"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("import a_driver_that_is_not_installed\n", "a_driver_that_is_not_installed"),
        ("@app.route(route='health')\ndef health(req: func.HttpRequest) -> func.HttpResponse: ...\n", "health"),
    ],
    ids=["failing import", "duplicate name"],
)
def test_a_broken_app_does_not_pass_the_gate(tmp_path: Path, broken: str, reason: str) -> None:
    text = (ROOT / "function_app.py").read_text("utf-8")
    (tmp_path / "function_app.py").write_text(text + "\n\n" + broken, "utf-8")
    with pytest.raises(AssertionError, match=reason) as caught:
        index({}, tmp_path)
    assert "cannot be indexed" in str(caught.value)


def test_importing_the_app_is_quick_and_loads_no_driver() -> None:
    outcomes = [run(IMPORT) for _ in range(2)]
    assert [done.returncode for done in outcomes] == [0, 0], outcomes[0].stderr
    modules = outcomes[0].stdout.splitlines()[1].split()
    assert [m for m in modules if m in HEAVY or m.startswith(tuple(f"{heavy}." for heavy in HEAVY))] == []
    assert min(float(done.stdout.splitlines()[0]) for done in outcomes) < 1.0  # CPU seconds


def test_addresses_that_others_rely_on() -> None:
    prefix = json.loads((ROOT / "host.json").read_text("utf-8"))["extensions"]["http"]["routePrefix"]
    functions = json.loads(GOLDEN.read_text("utf-8"))["nothing configured"]
    triggers = [b for f in functions.values() for b in f["bindings"] if b["type"] == "httpTrigger"]
    assert {(b["methods"][0], f"/{prefix}/{b['route']}", b["authLevel"]) for b in triggers} == {
        ("GET", "/api/health", "ANONYMOUS"),
        ("GET", "/api/status", "FUNCTION"),
        ("POST", "/api/scan/{instance}", "FUNCTION"),
        ("POST", "/api/v1/lineage", "FUNCTION"),
    }


def test_a_lineage_event_that_is_too_large_is_refused_before_it_is_read() -> None:
    import azure.functions as func

    import function_app

    request = func.HttpRequest("POST", "/api/v1/lineage", body=b" " * (function_app.MAX_BODY + 1))
    (lineage,) = (f for f in function_app.app.get_functions() if f.get_function_name() == "lineage")
    answer = lineage.get_user_function()(request)
    assert (answer.status_code, answer.mimetype) == (413, "application/json")
    assert "landing/uploads/openlineage/" in json.loads(answer.get_body())["fix"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps({case: index(settings) for case, settings in SETTINGS.items()}, indent=2) + "\n")
