"""What every bench shares: a database of its own, a loaded district, and the one line of JSON at the end."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def own_database() -> Path:
    """Start an embedded PostgreSQL in a temporary folder, migrate it, and point Django at it; ends with the process.

    Returns the data folder. Call it before anything of gridloop that needs Django is imported.
    """
    from gridloop.kernel.postgres import Cluster

    folder = Path(tempfile.mkdtemp(prefix="gridloop-bench-"))
    folder.chmod(0o711)
    os.environ["GRIDLOOP_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["GRIDLOOP_LOG_LEVEL"] = "WARNING"
    os.environ.pop("DATABASE_URL", None)
    cluster = Cluster(folder)
    cluster.start()

    def end() -> None:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    return folder


def load_district() -> None:
    """District 410104 with its packs, synthetic map and synthetic staff."""
    from gridloop.kernel import clock
    from gridloop.kernel.tables import open_table
    from gridloop.people.actions import import_units
    from gridloop.people.viewer import SYSTEM
    from gridloop.standard.actions import activate_packs
    from gridloop.territory.actions import draw_district

    folder = ROOT / "districts" / "410104"
    activate_packs(folders=[ROOT / "packs" / "urban"], district=folder, actor="system")
    draw_district(folder=folder, actor="system", at=clock.now())
    with open_table(folder / "units.csv") as table:
        import_units(rows=table.rows, viewer=SYSTEM, at=clock.now())


def medians(rounds: Sequence[float]) -> float:
    return statistics.median(rounds)


def interleave(rounds: int, **runs: Callable[[], float]) -> dict[str, list[float]]:
    """Run each of several measurements in turn, `rounds` times: what disturbs one disturbs the others alike."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def conclude(
    *,
    name: str,
    value: float,
    unit: str,
    peer: str,
    peer_value: float,
    goal: str,
    rounds: int,
    not_shown: Sequence[str],
    **more: Any,
) -> None:
    """Say what the figure does not show, then print it as the last line."""
    print("It does not show:")
    for line in not_shown:
        print(f"  - {line}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; medians of {rounds} rounds")
    ratio = value / peer_value if peer_value else None
    told: dict[str, Any] = {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "goal": goal,
        "rounds": rounds,
    }
    print(json.dumps(told | more, ensure_ascii=False))


def machine() -> str:
    """What the figures were measured on."""
    return subprocess.run(["uname", "-srm"], capture_output=True, text=True, check=True).stdout.strip()
