"""The `attune` command: every step by hand, for people and, with --json, for programs.

Results go to standard output, progress and errors to standard error; a failure exits with 1, a
wrong argument with 2.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from orchestration.lib.errors import AttuneError, EmptyError
from orchestration.lib.home import Workspace, workspace_from
from orchestration.lib.progress import Stages

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestration.ingest import IngestReport
    from serving.api.tokens import Token

USERS = 2000
DAYS = 28
SEED = 7

app = typer.Typer(
    name="attune",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Who prefers what, and which change works: from an assistant's telemetry to tested tables, "
        "a serving cache and a file for BI.\n\n"
        "First time: `attune run`. By hand: put OTLP/JSON lines into the inbox, then "
        "`attune ingest`, `attune build`, `attune sync`, `attune publish`."
    ),
    epilog=(
        "The workspace is `.attune` or ATTUNE_HOME; the declarations are the project's or "
        "ATTUNE_DECLARATIONS (`attune init DIR` copies a starter)."
    ),
)

keys_app = typer.Typer(
    no_args_is_help=True,
    help="The ring of keys behind pseudonyms: list it, start a new key, retire an old one.",
    epilog="Example: `attune keys rotate`",
)
app.add_typer(keys_app, name="keys")

tokens_app = typer.Typer(
    no_args_is_help=True,
    help="Tokens of the read API: who may read, decide and control.",
    epilog="Example: `attune tokens create --role read --role decide --name assistant`",
)
app.add_typer(tokens_app, name="tokens")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else")]


def main() -> None:
    """Run the command; errors that a person can act on are said without a traceback."""
    from orchestration.ingest import IngestError
    from serving.errors import ServingError

    try:
        app()
    except (AttuneError, IngestError, ServingError, ValueError) as error:
        # simulator and serving raise ValueError for arguments out of range
        _show_error(error)
        sys.exit(1)


def _show_error(error: Exception) -> None:
    """Say what happened and what to do next, with `--json` on standard output too."""
    shown = error.as_dict() if isinstance(error, AttuneError) else {"error": str(error)}
    if "--json" in sys.argv:
        sys.stdout.write(orjson.dumps(shown).decode() + "\n")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[red]error[/]: {escape(shown['error'])}")
    for label, value in (("where", shown.get("where")), ("next", shown.get("next"))):
        if value:
            console.print(f"[dim]{label}[/]: {escape(value)}")


@app.command(epilog="Example: `attune init my-declarations`, then edit the CSV files in it.")
def init(
    folder: Annotated[Path, typer.Argument(help="New folder for your declarations")],
    as_json: AsJson = False,
) -> None:
    """Copy a starter of declarations: experiments, preferences, tracking plan, metrics."""
    from orchestration.lib import steps

    target = folder.resolve()
    files = steps.copy_starter(_workspace(), target)
    _show(
        {"folder": str(target), "files": files},
        f"{len(files)} files in {target}. Edit them, then:\n"
        f"  export ATTUNE_DECLARATIONS={target}\n  attune build",
        as_json=as_json,
    )


@app.command(
    epilog=(
        "Examples: `attune simulate --users 60 --days 5` for a world to look at; "
        "`attune simulate --more-days 1` for the next day of the world that is there."
    )
)
def simulate(
    users: Annotated[int, typer.Option(min=1, help="Users of the new world")] = USERS,
    days: Annotated[int, typer.Option(min=1, help="Days of the new world")] = DAYS,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another world")] = SEED,
    more_days: Annotated[
        int, typer.Option(min=0, help="Continue the world that is there by so many days")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Write the telemetry of an assistant's simulated users into the inbox."""
    from orchestration.lib import render, steps

    with Stages().stage("simulate", "days") as update:
        report = steps.simulate(
            _workspace(),
            users=users,
            days=days,
            seed=seed,
            more_days=more_days,
            on_progress=lambda done, total, records: update(done, total, f"{records:,} records"),
        )
    _show(asdict(report), render.simulated(report), as_json=as_json)


@app.command(
    epilog=(
        "Example: `attune receive`, and where your application starts:\n\n"
        "`export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318`\n\n"
        "`export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`\n\n"
        '`export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$(cat .attune/receive.token)"`'
    )
)
def receive(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one")] = 4318,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The token that clients send; default receive.token in the workspace"),
    ] = None,
    max_inbox_mb: Annotated[
        int, typer.Option(min=1, help="MiB that may wait in the inbox before clients must")
    ] = 4096,
    min_free_mb: Annotated[
        int, typer.Option(min=0, help="MiB that stay free on the disk of the inbox")
    ] = 512,
) -> None:
    """Receive OTLP/HTTP from OpenTelemetry SDKs into the inbox; no Collector needed.

    A request is answered when it is durable on disk. The token is made on first use;
    ATTUNE_RECEIVE_TOKEN goes before the file. `attune ingest` loads what arrived.
    """
    from orchestration.receiver.config import MEBIBYTE, Limits, receiver_config
    from orchestration.receiver.server import serve

    limits = Limits(inbox_bytes=max_inbox_mb * MEBIBYTE, free_bytes=min_free_mb * MEBIBYTE)
    serve(
        receiver_config(
            _workspace(), os.environ, host=host, port=port, token_file=token_file, limits=limits
        )
    )


@app.command(
    epilog=(
        "Example: `attune serve`, then\n\n"
        '`curl -H "Authorization: Bearer $TOKEN" '
        "http://127.0.0.1:8040/v1/users/user-0000042/profile`"
    )
)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one")] = 8040,
) -> None:
    """Serve profiles, decisions, flags (OFREP) and users' controls over HTTP.

    `/` is a page for the user, `/openapi.json` says what there is. Every request needs a token of
    `attune tokens create`.
    """
    from orchestration.lib.serve import serve as serve_workspace

    workspace = _workspace()
    workspace.make_folders()
    serve_workspace(workspace, host=host, port=port)


@tokens_app.command(
    "create",
    epilog=(
        "Examples: `attune tokens create --name assistant --role read --role decide`; "
        "`attune tokens create --user user-0000042` for that user alone"
    ),
)
def tokens_create(
    name: Annotated[str, typer.Option(help="What the token is for")] = "",
    role: Annotated[
        list[str] | None, typer.Option(help="read, decide or control; may be repeated")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The raw id of the one user it is for; default all users")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, once. A user's own token has every role unless said otherwise."""
    from orchestration.lib.serve import ports, token_file
    from serving.api.tokens import ROLES, create_token

    workspace = _workspace()
    roles = role or (list(ROLES) if user is not None else [])
    subject = None if user is None else ports(workspace).pseudonyms(user)[-1]
    token, text = create_token(token_file(workspace), name=name, roles=roles, subject=subject)
    _show({"token": text, **_token_fields(token)}, text, as_json=as_json)


@tokens_app.command("list", epilog="Example: `attune tokens list --json`")
def tokens_list(as_json: AsJson = False) -> None:
    """List the tokens, oldest first: id, roles, subject, name; never the tokens themselves."""
    from orchestration.lib.serve import token_file
    from serving.api.tokens import list_tokens

    found = [_token_fields(token) for token in list_tokens(token_file(_workspace()))]
    lines = [
        f"{each['token_id']}  {','.join(each['roles'])}  "
        f"{'one user' if each['subject'] else 'all users'}  {each['created_at']}  {each['name']}"
        for each in found
    ]
    _show({"tokens": found}, *map(escape, lines or ["no tokens yet"]), as_json=as_json)


@tokens_app.command("revoke", epilog="Example: `attune tokens revoke 4f1c09ab77de`")
def tokens_revoke(
    token_id: Annotated[str, typer.Argument(help="The id that `attune tokens list` shows")],
    as_json: AsJson = False,
) -> None:
    """Revoke a token; a running API refuses it within two seconds."""
    from orchestration.lib.serve import token_file
    from serving.api.tokens import revoke_token

    token = revoke_token(token_file(_workspace()), token_id)
    _show(_token_fields(token), f"{token.token_id} is revoked", as_json=as_json)


@app.command(epilog="Example: `attune ingest --json | jq .rejections`")
def ingest(as_json: AsJson = False) -> None:
    """Load what waits in the inbox into the lake: checked, pseudonymised, each file once.

    A file that cannot be taken (a link, a file that changes while it is read, one that unpacks to
    an absurd size, ...) stays where it is and is named with its reason; the others are loaded, and
    the command exits with 1.
    """
    from orchestration.lib import steps

    with Stages().stage("ingest", "files") as update:
        report = steps.ingest(_workspace(), on_progress=update)
    _show_load(report, as_json=as_json)


@app.command(
    epilog=(
        "Examples: `attune build`; `attune build --select fct_events+` for one table and what "
        "follows; `attune build --as-of 2026-03-15T00:00:00` for what was known then."
    )
)
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild incremental tables from nothing")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option(help="UTC time up to which loads count (default the newest load)")
    ] = None,
    select: Annotated[str | None, typer.Option(help="dbt selection (default everything)")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the declarations, then build and test every table."""
    from orchestration.lib import render
    from orchestration.lib.dbt_runner import build as build_tables
    from orchestration.lib.declarations import require_declarations

    workspace = _workspace()
    require_declarations(workspace.declarations, workspace.project_dir)
    with Stages().stage("build", "nodes") as update:
        report = build_tables(
            workspace,
            full_refresh=full_refresh,
            as_of=as_of,
            select=select,
            on_progress=lambda node: update(node.done, node.total, node.name),
        )
    _show(asdict(report), render.built(report), as_json=as_json)


@app.command(epilog="Example: `attune sync --allow-removal` after an erasure of most users.")
def sync(
    allow_removal: Annotated[
        bool, typer.Option(help="Remove whatever the warehouse no longer has, however much")
    ] = False,
    recheck: Annotated[
        bool, typer.Option(help="Read the whole cache first, and repair whatever differs")
    ] = False,
    skip_tests: Annotated[
        bool, typer.Option(help="Do not test the hot marts first, as the build has done it")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test the hot marts and bring the serving cache to what they hold; only what changed moves."""
    from orchestration.lib import render, steps

    workspace = _workspace()
    if not skip_tests:
        steps.test_hot_marts(workspace)
    report = steps.sync(workspace, allow_removal=allow_removal, recheck=recheck)
    _show(asdict(report), render.synced(report), as_json=as_json)


@app.command(epilog="Example: `attune rollback hot_user_profiles`, then mend the model and sync.")
def rollback(
    view: Annotated[str, typer.Argument(help="The hot mart, as `attune sync` names it")],
    as_json: AsJson = False,
) -> None:
    """Serve a view as it was before its last full fill, until the next sync (Redis and Valkey).

    A changed schema or a full rebuild is filled beside what is served, which is kept until the next
    such fill; this flips back to it. It is refused if a user was erased since.
    """
    from orchestration.lib import render, steps

    meta = steps.rollback(_workspace(), view)
    _show(asdict(meta), render.rolled_back(meta), as_json=as_json)


@app.command(epilog="Example: `attune publish`, then open the file it names in any BI tool.")
def publish(as_json: AsJson = False) -> None:
    """Copy the marts into one read-only file and Parquet, swapped when complete."""
    from orchestration.lib import render, steps

    report = steps.publish(_workspace())
    _show(asdict(report), render.published(report), as_json=as_json)


@app.command(epilog="Example: `attune report`, then open the index.html that it names.")
def report(as_json: AsJson = False) -> None:
    """Write a page per experiment from the published file: decision, effects, health."""
    from orchestration.lib import render, steps

    written = steps.report(_workspace())
    _show(asdict(written), render.reported(written), as_json=as_json)


@app.command(epilog="Example: `attune explain user-0000042`; a pseudonym works too.")
def explain(
    user: Annotated[str, typer.Argument(help="A raw user id, or its pseudonym (64 hex digits)")],
    as_json: AsJson = False,
) -> None:
    """Say what the assistant is told about a user, and why."""
    from orchestration.lib import render, steps
    from orchestration.lib.report import Preference
    from serving.client import Client

    workspace = _workspace()
    with Client(workspace.cache_url) as client:
        for user_id in steps.pseudonyms_of(workspace, user):
            found = client.explain_user(user_id)
            if found["is_known"]:
                break
    if not found["is_known"]:
        raise EmptyError(
            f"nothing is served for the user {user!r}",
            where=workspace.cache_url,
            next_step="check the id; a user appears after their first event was built and synced",
        )
    names = Preference.__dataclass_fields__
    rows = [Preference(**{name: each.get(name) for name in names}) for each in found["preferences"]]
    freshness = found["freshness"]
    consent = ", ".join(
        f"{purpose}: {'granted' if granted else 'not granted'}"
        for purpose, granted in found["consent"].items()
    )
    _show(
        found,
        f"user {user_id}\nconsent   {consent}\nsegments  "
        + ", ".join(f"{name}: {value}" for name, value in found["segments"].items())
        + f"\nas of     {freshness['as_of']}{' (stale)' if freshness['is_stale'] else ''}",
        render.preferences(rows),
        as_json=as_json,
    )


@app.command(epilog="Example: `attune ledger --json | jq '.files[] | select(.rejected > 0)'`")
def ledger(as_json: AsJson = False) -> None:
    """Say what became of every input file: accepted, duplicate, rejected, suppressed."""
    from orchestration.lib import render
    from orchestration.lib.report import open_warehouse, read_ledger, read_ledger_totals

    with open_warehouse(_workspace().warehouse) as connection:
        rows, totals = read_ledger(connection), read_ledger_totals(connection)
    _show(
        {"files": rows, "totals": asdict(totals)},
        render.ledger(rows),
        render.ledger_totals(totals),
        as_json=as_json,
    )


@app.command(
    epilog="Example: correct `raw` of a line in `.attune/rejected/*.jsonl`, then `attune replay`."
)
def replay(as_json: AsJson = False) -> None:
    """Read rejected lines again and load those that are well-formed now, each once.

    That is so after a line was corrected, after an update that reads more, and for times that were
    in the future. Files in the inbox are loaded too, as by `attune ingest`.
    """
    from orchestration.lib import steps

    with Stages().stage("replay", "files") as update:
        report = steps.replay(_workspace(), on_progress=update)
    _show_load(report, as_json=as_json)


@app.command(epilog="Example: `attune verify || attune sync`")
def verify(as_json: AsJson = False) -> None:
    """Compare every key and payload of the cache with the warehouse; differences exit with 1."""
    from orchestration.lib import steps

    report = steps.verify(_workspace())
    lines = [f"{each.view} {each.key}: {each.kind}, {each.detail}" for each in report.differences]
    _show(
        asdict(report) | {"ok": report.ok},
        f"{report.rows:,} rows of {', '.join(report.views)} compared, "
        f"{report.difference_count:,} differ",
        *lines,
        as_json=as_json,
    )
    if not report.ok:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: `attune compact`; `attune compact --date 2026-03-15` for one event date."
)
def compact(
    date: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="One event date (default all)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Merge the lake's many small files of each date into few; no table changes by it."""
    from orchestration.lib import render, steps

    changed = steps.compact(_workspace(), day=None if date is None else date.date())
    _show(
        {"folders": [asdict(each) for each in changed]}, render.compacted(changed), as_json=as_json
    )


@app.command(epilog="Example: `attune export user-0000042 > held.jsonl`; a pseudonym works too.")
def export(
    user: Annotated[str, typer.Argument(help="A raw user id, or its pseudonym (64 hex digits)")],
) -> None:
    """Write all that is held about a user to standard output, as JSON lines, to hand to them.

    Each line names its `table`: `lake` is the telemetry as it is kept, the others are every mart and
    hot mart with the user's rows.
    """
    from orchestration.lib import render, steps

    exported = steps.export(_workspace(), user, sys.stdout.buffer.write)
    Console(stderr=True, highlight=False, soft_wrap=True).print(render.exported(exported))


@app.command(epilog="Example: `attune erase`, weekly in Dagster as the job `erasure`.")
def erase(as_json: AsJson = False) -> None:
    """Take users who asked to be forgotten out of the lake, raw files, warehouse and published file.

    The cache forgot them when they asked, and every mart leaves them out from the next build on;
    this removes what is left on disk. `rpt_erasure_requests` says who is waiting, and how long.
    """
    from orchestration.lib import render, runs

    report = runs.erase(_workspace(), Stages())
    _show(asdict(report), render.erased(report), as_json=as_json)


@keys_app.command("list", epilog="Example: `attune keys list --json`")
def keys_list(as_json: AsJson = False) -> None:
    """List the keys, oldest first: name, when made, whether in force; never the keys themselves."""
    from orchestration.lib import render, steps

    keys = steps.list_keys(_workspace())
    _show({"keys": [asdict(key) for key in keys]}, render.keys(keys), as_json=as_json)


@keys_app.command("rotate", epilog="Example: `attune keys rotate`, then back up the key file.")
def keys_rotate(as_json: AsJson = False) -> None:
    """Make a new key for what is loaded from now on; older keys stay, so users stay themselves."""
    from orchestration.lib import render, steps

    workspace = _workspace()
    keys = steps.rotate_keys(workspace)
    _show(
        {"keys": [asdict(key) for key in keys]},
        render.keys(keys),
        f"Back up {workspace.key_file} now: without it nobody can be found again.",
        as_json=as_json,
    )


@keys_app.command("retire", epilog="Example: `attune keys retire k2`, then back up the key file.")
def keys_retire(
    key_id: Annotated[str, typer.Argument(help="Its name, as `attune keys list` says it")],
    as_json: AsJson = False,
) -> None:
    """Take a key out of the ring that nothing is served under: neither the newest nor the oldest."""
    from orchestration.lib import render, steps

    keys = steps.retire_key(_workspace(), key_id)
    _show(
        {"keys": [asdict(key) for key in keys]},
        render.keys(keys),
        f"{key_id} is gone: back up the key file anew. A running `attune serve` notices by itself.",
        as_json=as_json,
    )


@app.command(epilog="Examples: `attune run`; then `attune run --more-days 1` for the next day.")
def run(
    users: Annotated[int, typer.Option(min=1, help="Users, if a world is simulated")] = USERS,
    days: Annotated[int, typer.Option(min=1, help="Days, if a world is simulated")] = DAYS,
    more_days: Annotated[
        int, typer.Option(min=0, help="Simulate so many further days before the run")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Do everything: ingest, build, sync, publish, report, and say what came out.

    In an untouched workspace an assistant's users are simulated first. A second run loads only
    what is new and rebuilds only what that touches.
    """
    from orchestration.lib import render, runs

    stages = Stages()
    workspace = _workspace()
    report = runs.run(workspace, stages, users=users, days=days, seed=SEED, more_days=more_days)
    _show(report.as_dict(), render.summary(report.summary, workspace), as_json=as_json)


@app.command(
    epilog="Examples: `attune follow` until Ctrl-C; `attune follow --once --json` for one turn."
)
def follow(
    every: Annotated[
        float, typer.Option(min=1, help="Seconds from the end of a turn to the next")
    ] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="One turn, then end")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring what arrives in the inbox to the cache between whole builds.

    Only the hot marts that are declared for it are built, with their tests, and synced; everything
    else waits for the next `attune run`. A turn that fails is said and done again.
    """
    from orchestration.ingest import IngestError
    from orchestration.lib import render
    from orchestration.lib.runs import HotPath
    from serving.errors import ServingError

    hot_path = HotPath(_workspace())
    while True:
        try:
            report = hot_path.follow(Stages())
            if report.built_nodes or once:
                _show(asdict(report), render.followed(report), as_json=as_json)
        except (AttuneError, IngestError, ServingError) as error:
            if once:
                raise
            _show_error(error)
        if once:
            return
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            return


@app.command(epilog="Example: `attune ui --port 3001`")
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine")] = 3000,
) -> None:
    """Open Dagster's web UI on this workspace: assets, checks, runs, sensor and schedule."""
    from orchestration.lib import dagster_ui

    workspace = _workspace()
    dagster_ui.prepare(workspace)
    Console(stderr=True).print(f"http://127.0.0.1:{port} (Ctrl-C ends it)", highlight=False)
    os.execve(*dagster_ui.command(workspace, port))  # noqa: S606 (takes this process's place)


def _workspace() -> Workspace:
    return workspace_from(os.environ)


def _token_fields(token: Token) -> dict[str, Any]:
    return {name: value for name, value in asdict(token).items() if name != "secret_hash"}


def _show_load(report: IngestReport, *, as_json: bool) -> None:
    """Print what a load did; a file that was refused exits with 1."""
    from orchestration.lib import render, steps

    _show(
        steps.ingest_totals(report)
        | {
            "rejections": report.rejected,
            "batches": report.batch_ids,
            "refused": [asdict(each) for each in report.refused],
        },
        escape(render.ingested(report)),
        as_json=as_json,
    )
    if report.refused:
        raise typer.Exit(1)


def _show(value: Any, *parts: RenderableType, as_json: bool) -> None:
    """Print the value as JSON, or its parts for a person."""
    if as_json:
        sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
        return
    console = Console(highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))


if __name__ == "__main__":
    main()
