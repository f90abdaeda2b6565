"""The command itself: started, asked, ended in order; its tokens; its key ring and inbox."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from orchestration.ingest import load_inbox, rotate_keys
from orchestration.ingest.keys import load_keys
from orchestration.lib.home import workspace_from
from orchestration.lib.serve import InboxSink, KeyRing, declared_in
from orchestration.receiver.config import Limits
from serving.api.errors import EventSinkError
from serving.overlay import Declared
from tests.serving.api.served import AS_OF, eventually, fill, world

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("serve")


def attune(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("ATTUNE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.cli", *arguments],
        env=environment | {"ATTUNE_HOME": str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(home: Path, *arguments: str) -> str:
    """What a command prints, which has to succeed."""
    process = attune(home, *arguments)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out


class Command:
    """A running `attune serve`."""

    def __init__(self, home: Path) -> None:
        self.process = attune(home, "serve", "--port", "0")
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    @property
    def base(self) -> str:
        eventually(lambda: "Ctrl-C" in self.log or self.process.poll() is not None)
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log)
        assert found is not None, self.log
        return found[0]

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def command(home: Path) -> Iterator[Command]:
    started = Command(home)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.end(signal.SIGKILL)


def test_without_a_cache_what_is_declared_is_served(tmp_path: Path) -> None:
    token = said(tmp_path, "tokens", "create", "--role", "read", "--name", "assistant").strip()
    with command(tmp_path) as running:
        reader = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=running.base, timeout=30, headers=reader) as client:

            def profile() -> tuple[str, dict[str, str]]:
                answer = client.get("/v1/users/bert/profile").json()
                preferences = answer["profile"]["preferences"]
                values = {each["dimension"]: each["value"] for each in preferences}
                return answer["default_reason"], values

            assert profile() == (
                "cache_unavailable",
                {"answer_format": "prose", "answer_style": "detailed", "suggestion_style": "plain"},
            )
            assert client.get("/readyz").json()["cache"] == "unavailable"
            fill(tmp_path, f"sqlite:///{tmp_path / 'cache.sqlite'}", world(), AS_OF)
            eventually(lambda: set(profile()[1]) == set(world()["hot_preference_dimensions"]))
            assert profile()[0] == "unknown_user"
            assert client.get("/readyz").json()["cache"] != "unavailable"
        assert "defaults are served" in running.log


def test_defaults_are_what_is_declared(project_dir: Path) -> None:
    declared = declared_in(project_dir / "seeds" / "declarations")
    assert declared.dimensions["answer_format"] == {
        "dimension": "answer_format",
        "description": "The form that answers take",
        "default_value": "prose",
        "values": [
            {"value": "bullets", "label": "Bullet points"},
            {"value": "code_first", "label": "Code first"},
            {"value": "prose", "label": "Running text"},
        ],
        "context_attributes": "task.kind",
        "is_user_controllable": True,
    }
    granted = {name: each["granted_by_default"] for name, each in declared.purposes.items()}
    assert granted == {"measurement": True, "operations": True, "personalization": False}


def test_mistakes_in_declarations_do_not_end_the_api(
    project_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(project_dir / "seeds" / "declarations", tmp_path / "declarations")
    (tmp_path / "declarations" / "catalog" / "consent_purposes.csv").write_text("purpose\n")
    assert declared_in(tmp_path / "declarations") == Declared({}, {})
    assert "granted_by_default" in caplog.text


def test_a_workspace_is_served_until_it_is_told_to_end(tmp_path: Path) -> None:
    created = json.loads(said(tmp_path, "tokens", "create", "--user", "anna", "--json"))
    service = said(tmp_path, "tokens", "create", "--role", "read", "--name", "assistant").strip()
    fill(tmp_path, f"sqlite:///{tmp_path / 'cache.sqlite'}", world(), AS_OF)
    with command(tmp_path) as running:
        own = {"authorization": f"Bearer {created['token']}"}
        with httpx.Client(base_url=running.base, timeout=30) as client:
            eventually(lambda: client.get("/readyz").status_code == 200)
            path = "/v1/users/anna/consents/personalization"
            answer = client.put(path, json={"granted": True}, headers=own)
            assert answer.status_code == 200, answer.text
            assert answer.json()["profile"]["consent"]["personalization"] is True
            foreign = client.get("/v1/users/bert/profile", headers=own)
            assert foreign.status_code == 404
            read = client.get(
                "/v1/users/bert/profile", headers={"authorization": f"Bearer {service}"}
            )
            assert read.json()["default_reason"] == "unknown_user"
        second = attune(tmp_path, "serve", "--port", "0")
        assert "already" in second.communicate(timeout=60)[1]
        assert second.returncode == 1
        assert running.end(signal.SIGTERM) == 0
        assert not any(
            word in running.log for word in ("anna", "bert", created["token"], "Traceback")
        )
    (file,) = (tmp_path / "inbox").glob("serve-*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    declarations = Path(__file__).parents[2] / "seeds" / "declarations"
    report = load_inbox(tmp_path, declarations)
    assert (report.records_in, report.rejected) == (1, {})


def test_tokens_are_listed_and_revoked(tmp_path: Path) -> None:
    text = said(tmp_path, "tokens", "create", "--role", "read", "--name", "[red]x").strip()
    listed = said(tmp_path, "tokens", "list")
    assert "[red]x" in listed
    assert text.split("_", 2)[2] not in listed
    (token,) = json.loads(said(tmp_path, "tokens", "list", "--json"))["tokens"]
    assert (token["roles"], token["subject"]) == (["read"], None)
    assert "secret_hash" not in token
    said(tmp_path, "tokens", "revoke", token["token_id"])
    assert json.loads(said(tmp_path, "tokens", "list", "--json"))["tokens"] == []
    refused = attune(tmp_path, "tokens", "revoke", token["token_id"])
    assert "there is no token" in refused.communicate(timeout=60)[1]
    nothing = attune(tmp_path, "tokens", "create")
    assert "choose of read, decide, control" in nothing.communicate(timeout=60)[1]


def test_buckets_do_not_move_when_keys_rotate(tmp_path: Path) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    workspace.make_folders()
    load_keys(workspace.key_file)
    ring = KeyRing(workspace.key_file, create=False, look_seconds=0)
    before = ring.pseudonyms("anna")
    rotate_keys(tmp_path)
    after = ring.pseudonyms("anna")
    assert (len(before), len(after)) == (1, 2)
    assert after[-1] == before[-1]


def test_a_key_file_that_is_away_or_half_written_leaves_the_ring(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = workspace_from({"ATTUNE_HOME": str(tmp_path)})
    workspace.make_folders()
    load_keys(workspace.key_file)
    whole = workspace.key_file.read_bytes()
    ring = KeyRing(workspace.key_file, create=False, look_seconds=0)
    before = ring.pseudonyms("anna")
    workspace.key_file.write_bytes(whole[:20])
    assert [ring.pseudonyms("anna") for _ in range(2)] == [before, before]
    workspace.key_file.unlink()
    assert ring.pseudonyms("anna") == before
    assert len([r for r in caplog.records if "still holds" in r.message]) == 2
    workspace.key_file.write_bytes(whole)
    workspace.key_file.chmod(0o600)
    rotate_keys(tmp_path)
    assert len(ring.pseudonyms("anna")) == 2


def test_events_of_a_full_inbox_are_refused(tmp_path: Path) -> None:
    for name in ("inbox", "staging"):
        (tmp_path / name).mkdir()

    async def write(limits: Limits) -> None:
        async with InboxSink(tmp_path / "inbox", tmp_path / "staging", limits) as sink:
            await asyncio.gather(*(sink.append(b"{}") for _ in range(10)))

    with pytest.raises(EventSinkError, match="the inbox is full"):
        asyncio.run(write(Limits(inbox_bytes=1, free_bytes=0)))
    asyncio.run(write(Limits(free_bytes=0)))
    files = list((tmp_path / "inbox").iterdir())
    assert sum(file.read_bytes().count(b"{}\n") for file in files) == 10
    assert len(files) < 10
