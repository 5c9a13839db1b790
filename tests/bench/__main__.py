"""`python -m tests.bench smoke|small|full [benchmark...]`: run the benchmarks, print them, write them down."""

from __future__ import annotations

import logging
import sys
import time
from importlib import import_module

import structlog

from joinlog.redis_server import find_binary
from tests.bench import machine
from tests.bench.places import Places
from tests.bench.report import Report, write_section
from tests.bench.sizes import SIZES

BENCHMARKS = ("intake", "drain", "latency", "storm", "growth", "snapshot", "reports", "viewers")


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if not arguments or arguments[0] not in SIZES or not set(arguments[1:]) <= set(BENCHMARKS):
        print(f"usage: python -m tests.bench {'|'.join(SIZES)} [{' '.join(BENCHMARKS)}]", file=sys.stderr)
        return 2
    size = SIZES[arguments[0]]
    wanted = arguments[1:] or list(BENCHMARKS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = Report()
    begun = time.monotonic()
    with Places() as places:
        facts = machine.describe(places.folder, places.postgres_version, find_binary())
        print("\n".join(facts), flush=True)
        for name in wanted:
            told, began = len(report.tables), time.monotonic()
            import_module(f"tests.bench.{name}").run(places, size, report)
            for table in report.tables[told:]:
                print(f"\n{table.markdown()}", flush=True)
            print(f"({name}: {time.monotonic() - began:.0f} s)", flush=True)
    facts.append(f"- {time.monotonic() - begun:.0f} s in all")
    print(Report(reach=report.reach).markdown())
    if len(arguments) == 1 and size.name != "smoke":
        write_section(size.name, "\n".join([f"## {size.name}", "", *facts, "", report.markdown()]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
