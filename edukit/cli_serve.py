"""`edukit serve`: the start page, on which a person drops a file and gets a gap map; and the map of a finished run. `edukit serve session`: live sessions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

HOST = Annotated[str, typer.Option(help="where to listen; another machine can reach only what --host names, and a token must be given then")]
PORT = Annotated[int, typer.Option(min=0, max=65535, help="port; 0 is any free one")]
TOKEN = Annotated[str | None, typer.Option(envvar="EDUKIT_TOKEN", help="who asks must know it (16 characters or more); drawn where none is given. On a machine "
                                           "that others use, too, set EDUKIT_TOKEN or give --token-file: every account can read what stands behind --token")]
SESSION_TOKEN = Annotated[str | None, typer.Option(envvar="EDUKIT_TOKEN", help="who asks must state it (Authorization: Bearer TOKEN); without one every "
                                                   "account of this machine may ask. Needed with --host; EDUKIT_TOKEN or --token-file keep it private")]
TOKEN_FILE = Annotated[Path | None, typer.Option(metavar="FILE", help="a file that holds the token in its one line and that only its owner may read")]

PAGES = "pages"


class PagesUnlessNamed(TyperGroup):
    """`edukit serve [RUN]` is the start page; a service that is named first is that one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words after `edukit serve`, with the start page's name put before them where no other is."""
        return super().parse_args(ctx, args if args and args[0] in self.commands else [PAGES, *args])


serve_app = typer.Typer(cls=PagesUnlessNamed, context_settings={"help_option_names": ["-h", "--help"]})


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


@serve_app.command(PAGES)
def serve(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="folder of a finished run of map_gaps, whose map is shown too")] = None,
    host: HOST = "127.0.0.1", port: PORT = 8765, token: TOKEN = None, token_file: TOKEN_FILE = None,
    max_mb: Annotated[float, typer.Option(min=0.001, help="largest file that is taken, in megabytes")] = 100.0,
    keep_days: Annotated[float, typer.Option(min=0.0, help="files dropped here, and all that was made of them, go when this runs after so many days")] = 7.0,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="a setting of every map, as of `edukit run map_gaps`")] = None,
) -> None:
    """Open the start page: drop a csv or xlsx, say what its columns hold, choose a graph, get the gap map. Nothing leaves this machine.

    `edukit serve session` is another service: what should a learner do next?
    """
    from edukit.serve import serve as serve_pages

    os.umask(0o077)  # what is dropped, and all that is made of it, is its owner's alone
    outputs = Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs")
    serve_pages(outputs / "serve", run, host, port, token_of(context, token, token_file), max_mb, keep_days, tuple(setting or ()),
                lambda line: print(line, flush=True))


@serve_app.command()
def session(
    context: typer.Context,
    graph: Annotated[str | None, typer.Option(metavar="SOURCE", help="a graph file, or a data set with a graph (junyi); the embedded classroom where none is "
                                              "given")] = None,
    items: Annotated[Path | None, typer.Option(metavar="FILE", help="table of item_id and concept_id; of a data set its own, else one item a concept")] = None,
    policy: Annotated[str, typer.Option(help="one of `edukit models list`, recommend=…, or a yaml file")] = "zpdes",
    store: Annotated[Path | None, typer.Option(metavar="FILE", help="where sessions and answers are kept (SQLite); outputs/sessions/sessions.sqlite")] = None,
    host: HOST = "127.0.0.1", port: PORT = 8768, token: SESSION_TOKEN = None, token_file: TOKEN_FILE = None,
    max_kb: Annotated[float, typer.Option(min=1, help="largest body of a request, in kilobytes")] = 64.0,
    max_sessions: Annotated[int, typer.Option(min=1, help="sessions kept in memory; others are read when they are asked for")] = 2000,
    max_waiting: Annotated[int, typer.Option(min=1, help="answers that may wait for the disk; more are told to come again (503)")] = 512,
) -> None:
    """Serve live sessions over HTTP: start, answer, next, profile, xAPI in and out. An answer is on the disk before its reply."""
    from edukit.data.store import pseudonymiser
    from edukit.recommend.session_store import SessionStore
    from edukit.serve_session import serve as serve_sessions
    from edukit.serve_session_commits import Commits
    from edukit.serve_session_course import course_of
    from edukit.serve_session_live import Live

    os.umask(0o077)  # what learners answered is its owner's alone
    path = store or Path(os.environ.get("EDUKIT_OUTPUTS") or "outputs") / "sessions" / "sessions.sqlite"
    course, key = course_of(graph, items, policy), pseudonymiser()
    with SessionStore(path, key.key_version).held() as kept:
        serve_sessions(Live(course, kept, Commits(kept, max_waiting), key, max_sessions), host, port, token_of(context, token, token_file), max_kb,
                       lambda line: print(line, flush=True))
