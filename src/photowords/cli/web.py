"""photowords web: the page."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any

from photowords.cli.options import a_name, a_path, add_model, number
from photowords.errors import UserError


def add(commands: Any) -> None:
    command = commands.add_parser(
        "web",
        help="the page: click on the thing, see the sentence, watch it being learned",
        description="Open the page on this machine and print its address. Everything that it makes is a run folder in "
        "DIR, as the other commands make them. Ctrl-C ends the page; what is learning goes on.",
    )
    command.add_argument(
        "--runs", type=a_path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )
    command.add_argument(
        "--studies", type=a_path, metavar="DIR", help="folder of studies to show (default: those among the runs)"
    )
    command.add_argument("--port", type=number(int), default=7870, metavar="N", help="port (default: 7870; 0: any)")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, this machine alone; 0.0.0.0 lets others in: add --password)",
    )
    command.add_argument(
        "--password",
        action="store_true",
        help="open the page to whoever has the password that stands in the environment as PHOTOWORDS_PASSWORD",
    )
    command.add_argument(
        "--segmenter", type=a_name, metavar="NAME", help="folder or hub name of a SAM (default: a graph cut)"
    )
    add_model(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError("the page needs two small libraries: pip install 'photowords[web]'") from error
    from photowords.web import usable
    from photowords.web.config import Config, read_password, read_token
    from photowords.web.serve import serve

    if args.studies is not None and not args.studies.is_dir():
        raise UserError(f"there is no folder of studies {args.studies}; leave `studies` out, or give one that is there")
    usable.check(args.model or "auto", args.device, args.dtype)
    password = read_password(args.host, args.password)
    config = Config(
        args.runs.absolute(),
        (args.studies or args.runs).absolute(),
        args.model or "auto",
        args.device,
        args.dtype,
        args.segmenter,
        args.host,
        read_token(args.runs.absolute()),
        password,
    )
    if config.is_open:
        print(
            f"Whoever reaches {args.host} of this machine and has the password can use this page: upload photos, start "
            "and delete runs, read all of them. What goes over the network is not encrypted."
        )
    with suppress(KeyboardInterrupt):  # which does not always get through asyncio
        serve(config, args.port, lambda address: print(f"open {address}", flush=True))
    print("\nclosed; what is learning goes on")
