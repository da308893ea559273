"""One map, made in a process of its own: it ends by itself, and leaves nothing half-written, when the server that started it is gone."""

from __future__ import annotations

import _thread
import importlib
import os
import threading
import time
from pathlib import Path

PATIENCE, AGAIN = 60.0, 5.0  # seconds between the request to stop and the end by force, and between two requests: libraries may swallow one


def _end_with_the_server() -> None:
    """Wait until the server closes our input, or dies; then interrupt the work."""
    while os.read(0, 1):  # not sys.stdin, whose lock a thread that waits would hold when the interpreter ends
        pass
    for _ in range(int(PATIENCE / AGAIN)):
        _thread.interrupt_main()
        time.sleep(AGAIN)
    os._exit(130)


def main(place: Path) -> None:
    """Make the map whose settings lie in ``place``/map.json; progress goes to the output, the path of the report last."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    from edukit.serve_store import state_of

    map_gaps, recipe = (importlib.import_module(f"edukit.experiments.{name}") for name in ("map_gaps", "recipe"))
    settings = state_of(place)
    cfg = recipe.config("map_gaps", "data=school_csv", *settings["overrides"])
    for name, value in settings["data"].items():
        cfg.data[name] = value
    cfg.refit = settings["refit"]
    cfg.paths.outputs, cfg.paths.tracking = str(place / "out"), None
    try:
        recipe.guard(map_gaps.run, cfg)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main(Path(os.environ["EDUKIT_JOB"]))  # not an argument: every account of this machine can read those
