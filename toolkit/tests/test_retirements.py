"""A newer list of what Azure retires: fetched, and used beside the toolkit's."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from modelyard import doctor
from modelyard.errors import UsageError
from modelyard.retirements import FILE, VARIABLE, known, refresh, retirements

from tests.editing import edit
from tests.project import part_of_sample

DSV2 = "https://azure.microsoft.com/updates/?id=485569"  # of a row of retirements.yml


def row(number: object, service: str, feature: str, date: str, link: str) -> dict[str, object]:
    return {
        "Id": number,
        "ServiceName": service,
        "RetiringFeature": feature,
        "RetirementDate": date,
        "Link": link,
        "Availability under Impacted Services": "",
    }


NEW = row(9999, "Azure Machine Learning\u00a0", "Kubernetes compute", "2029-01-31", "https://x/1")
LIST = [
    row("494", "Virtual Machines", "D, Ds, Dv2, Dsv2 and Ls series", "2026-01-01", DSV2),
    row(593, "Azure OpenAI", "Multiple Models", "", "https://x/2"),
    row(9998, "Azure Sphere", "Entire service", "2031-07-31", "https://x/3"),
    NEW,
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Serve the list where MLOPS_RETIREMENTS_URL says; what comes last is served, b"" as an error."""
    answers = [json.dumps(LIST).encode("utf-8-sig")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if answers[-1] else 503)
            self.end_headers()
            self.wfile.write(answers[-1])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.server_port}/service_list.json")
    yield answers
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return part_of_sample(tmp_path, "azureml conf")


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def found(root: Path) -> list[tuple[bool | None, str]]:
    return [(one.is_fine, one.found) for one in doctor.examine(root) if one.thing == "retirements"]


def test_a_fetched_list_moves_dates_and_tells_what_is_new(
    project: Path, served: list[bytes]
) -> None:
    assert found(project) == [(True, "the toolkit's list, compared with Azure's of 2025-12-18")]
    file = project / "azureml/endpoints/online-deployment.yml"
    edit(file, "Standard_D4as_v4", "Standard_DS3_v2")
    [(is_fine, said), _] = found(project)
    assert is_fine is None and "online-deployment.yml" in said and "2028-05-01" in said
    before = today()
    refresh(project)
    [(is_fine, said), (new, unknown), last] = found(project)
    assert is_fine is False and "was retired on 2026-01-01" in said
    assert new is None and unknown.endswith(
        "Azure Machine Learning: Kubernetes compute, 2029-01-31 (https://x/1)"
    )
    last_fetched = "the toolkit's list with Azure's, fetched on "
    assert last in [(True, last_fetched + day) for day in (before, today())]
    assert [row for row in known(project).rows if row.source != DSV2] == [
        row for row in retirements() if row.source != DSV2
    ]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "gives no list of retirements: HTTP Error 503"),
        (b"<html>", "gives no list of retirements: Expecting value"),
        (b"[]", "is not Azure's list"),
        (b'{"error": 1}', "is not Azure's list"),
        (b'[{"Id": 1}]', "is not Azure's list of retirements (0.ServiceName: Field required)"),
    ],
)
def test_an_answer_that_is_no_list_changes_nothing(
    project: Path, served: list[bytes], answer: bytes, message: str
) -> None:
    refresh(project)
    before = (project / FILE).read_bytes()
    served.append(answer)
    with pytest.raises(UsageError) as refused:
        refresh(project)
    assert message in str(refused.value)
    assert [path.name for path in (project / "build").iterdir()] == ["retirements.json"]
    assert (project / FILE).read_bytes() == before


def test_a_list_older_than_the_toolkits_and_a_broken_one_are_told(
    project: Path, served: list[bytes]
) -> None:
    refresh(project)
    content = json.loads((project / FILE).read_text())
    (project / FILE).write_text(json.dumps({**content, "fetched": "2025-01-01"}))
    [(_, said)] = found(project)
    assert said.endswith("build/retirements.json of 2025-01-01 is older")
    (project / FILE).write_text('{"rows": []}')
    [(is_fine, said)] = found(project)
    assert is_fine is False and "run `mlops doctor --refresh`" in said


def test_without_a_network_the_command_says_which_list_it_uses(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9/service_list.json")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    command = [sys.executable, "-m", "modelyard", "doctor", "--refresh", "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert "not refreshed: http://127.0.0.1:9/service_list.json gives no list" in done.stderr
    assert "Used is the toolkit's list, compared with Azure's of 2025-12-18" in done.stderr
    said = [one["found"] for one in json.loads(done.stdout) if one["thing"] == "retirements"]
    assert said == ["the toolkit's list, compared with Azure's of 2025-12-18"]
