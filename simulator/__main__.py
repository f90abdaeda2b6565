"""The command line of the simulator: `python -m simulator --help`."""

import argparse
import sys
from datetime import date
from pathlib import Path

import orjson

from simulator.simulation import DEFAULT_START, SimulationReport, simulate

DESCRIPTION = """\
Simulates the users of an assistant and writes their telemetry as OTLP/JSON lines, two files a day
(<date>-logs.jsonl and <date>-spans.jsonl, at most 512 records a line). Preferences, consents,
segments, experiments with known effects and a decision point are planted; --truth writes them as
Parquet, so that what an analysis finds can be compared with what is there."""

EXAMPLES = """\
examples:
  a small world to look at:
    python -m simulator --users 50 --days 7 --out /tmp/inbox --truth /tmp/truth
  the first three weeks now, the fourth later (the same bytes as all at once):
    python -m simulator --out inbox --last-day 20
    python -m simulator --out inbox --first-day 21
  speed, and what was written, for a program:
    python -m simulator --users 20000 --out /tmp/inbox --json

The same arguments always give the same bytes. The truth holds raw user ids: never put it into the
inbox."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code (2 for wrong arguments)."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="directory for the files: an inbox")
    parser.add_argument("--truth", type=Path, help="directory for the planted truth (default none)")
    parser.add_argument("--users", type=int, default=2000, help="number of users (default 2000)")
    parser.add_argument("--days", type=int, default=28, help="length of the world (default 28)")
    parser.add_argument(
        "--start",
        type=date.fromisoformat,
        default=DEFAULT_START,
        help=f"first day, UTC (default {DEFAULT_START})",
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed, another world")
    parser.add_argument("--first-day", type=int, default=0, help="first day to write, from 0")
    parser.add_argument("--last-day", type=int, help="last day to write (default the last)")
    parser.add_argument(
        "--no-faults", action="store_true", help="deliver everything once, in time and well-formed"
    )
    parser.add_argument("--compress", action="store_true", help="write .jsonl.gz")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)

    def show(done: int, total: int, records: int) -> None:
        sys.stderr.write(f"\rday {done}/{total}: {records:,} records")
        sys.stderr.flush()

    try:
        report = simulate(
            options.out,
            truth_dir=options.truth,
            users=options.users,
            days=options.days,
            start=options.start,
            seed=options.seed,
            faults=not options.no_faults,
            first_day=options.first_day,
            last_day=options.last_day,
            compress=options.compress,
            progress=show if sys.stderr.isatty() else None,
        )
    except ValueError as error:
        sys.stderr.write(f"error: {error}; see --help\n")
        return 2
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    if options.json:
        summary = {
            "records": report.records,
            "records_per_second": round(report.records_per_second),
            "seconds": round(report.seconds, 3),
            "faults": report.faults,
            "files": [vars(file) for file in report.files],
        }
        sys.stdout.write(orjson.dumps(summary).decode() + "\n")
    else:
        sys.stdout.write(_summary(report, options.out) + "\n")
    return 0


def _summary(report: SimulationReport, out_dir: Path) -> str:
    faults = ", ".join(
        f"{kind.replace('_', ' ')} {count:,}" for kind, count in report.faults.items()
    )
    days = f"days {report.first_day} to {report.last_day} of {report.days}"
    written = f"{report.records:,} records in {len(report.files)} files in {out_dir}"
    lines = [
        f"{report.users:,} users, {days}: {written}",
        f"{report.seconds:.1f} s, {report.records_per_second:,.0f} records/s",
        f"faults: {faults}",
    ]
    if report.truth_tables:
        lines.append(f"truth: {', '.join(report.truth_tables)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
