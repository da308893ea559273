"""`edukit serve`: the start page, on which a person drops a file and gets a gap map; and the map of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

HOST = Annotated[str, typer.Option(help="where to listen; another machine can reach only what --host names, and a token must be given then")]
PORT = Annotated[int, typer.Option(min=0, max=65535, help="port; 0 is any free one")]
TOKEN = Annotated[str | None, typer.Option(envvar="EDUKIT_TOKEN", help="who asks must know it (16 characters or more); drawn where none is given. On a machine "
                                           "that others use, too, set EDUKIT_TOKEN or give --token-file: every account can read what stands behind --token")]
TOKEN_FILE = Annotated[Path | None, typer.Option(metavar="FILE", help="a file that holds the token in its one line and that only its owner may read")]


def token_of(context: typer.Context, token: str | None, file: Path | None) -> str | None:
    """The token of a server: from its file, else EDUKIT_TOKEN or the command line; of the last it is said that others can read it.

    Raises
    ------
    DataError
        Where there are two, or the file is absent or may be read by others.
    """
    from edukit.schema import DataError

    if file is None:
        if token and getattr(context.get_parameter_source("token"), "name", "") == "COMMANDLINE":
            typer.echo("note: other accounts of this machine can read --token in the list of processes; EDUKIT_TOKEN and --token-file keep it", err=True)
        return token
    if token:
        raise DataError("a server has one token; found --token-file beside EDUKIT_TOKEN or --token. Leave one out.")
    if not file.is_file() or (os.name == "posix" and file.stat().st_mode & 0o077):
        raise DataError(f"--token-file must be a file that only its owner may read; found {'one that others may' if file.is_file() else 'no'} {file}. "
                        f"chmod 600 {file}")
    return file.read_text(encoding="utf-8").strip()


def serve(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="folder of a finished run of map_gaps, whose map is shown too")] = None,
    host: HOST = "127.0.0.1", port: PORT = 8765, token: TOKEN = None, token_file: TOKEN_FILE = None,
    max_mb: Annotated[float, typer.Option(min=0.001, help="largest file that is taken, in megabytes")] = 100.0,
    keep_days: Annotated[float, typer.Option(min=0.0, help="files dropped here, and all that was made of them, go when this runs after so many days")] = 7.0,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a setting of every map, as of `edukit run map_gaps`")] = None,
) -> None:
    """Open the start page: drop a csv or xlsx, say what its columns hold, choose a graph, get the gap map. Nothing leaves this machine."""
    from edukit.serve import serve as serve_pages

    os.umask(0o077)  # what is dropped, and all that is made of it, is its owner's alone
    outputs = Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")
    serve_pages(outputs / "serve", run, host, port, token_of(context, token, token_file), max_mb, keep_days, tuple(setting or ()),
                lambda line: print(line, flush=True))
