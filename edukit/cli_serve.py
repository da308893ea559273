"""`edukit serve`: the start page, on which a person drops a file and gets a gap map; and the map of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def serve(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="folder of a finished run of map_gaps, whose map is shown too")] = None,
    host: Annotated[str, typer.Option(help="where to listen; another machine can reach only what --host names, and --token must be given then")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port; 0 is any free one")] = 8765,
    token: Annotated[str | None, typer.Option(envvar="EDUKIT_TOKEN", help="who asks must know it (16 characters or more); drawn where none is given")] = None,
    max_mb: Annotated[float, typer.Option(min=0.001, help="largest file that is taken, in megabytes")] = 100.0,
    keep_days: Annotated[float, typer.Option(min=0.0, help="files dropped here, and all that was made of them, go when this runs after so many days")] = 7.0,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a setting of every map, as of `edukit run map_gaps`")] = None,
) -> None:
    """Open the start page: drop a csv or xlsx, say what its columns hold, choose a graph, get the gap map. Nothing leaves this machine."""
    from edukit.serve import serve as serve_pages

    os.umask(0o077)  # what is dropped, and all that is made of it, is its owner's alone
    outputs = Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")
    serve_pages(outputs / "serve", run, host, port, token, max_mb, keep_days, tuple(setting or ()), lambda line: print(line, flush=True))
