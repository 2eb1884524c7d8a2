"""The command convserve: serve, predict, models, bench, key. One clear line for an error, exit status 2 for a wrong
use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import select
import sys
import tomllib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.client.terminal import survive_any_encoding
from app.errors import DeviceUnavailable
from app.settings import Settings, explain_passed_over, find_sources, load_settings

log = logging.getLogger(__name__)

USAGE = """usage: convserve serve | predict | models | bench | key [options]

  serve     answer HTTP requests from the models of a repository
  predict   classify images or whole folders, by a running service or from a repository
  models    list the models of a service or a repository
  bench     how fast a model runs at each batch size on this machine
  key       make an API key and the hash that the settings api_keys and admin_keys take

convserve COMMAND --help says more."""


class UsageError(Exception):
    """A command line or setting that can't be meant so."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 where something failed, 2 for a wrong use."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"serve": _serve, "predict": _predict, "models": _models, "key": _key, "bench": _bench}
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in commands:
        print(f"convserve: there is no command {name!r}\n{USAGE}" if name else USAGE, file=sys.stderr)
        return 2
    survive_any_encoding()
    try:
        status = commands[name](arguments[1:])
        sys.stdout.flush()
    except UsageError as error:
        print(f"convserve {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)
        if not output.poll(0):
            raise  # another pipe or socket: that is a failure
        # `head` has seen enough; what is left to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _serve(arguments: list[str]) -> int:
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--settings", type=Path)
    own.add_argument("--show-settings", action="store_true")
    known, flags = own.parse_known_args(arguments)
    if "-h" in flags or "--help" in flags:
        print(
            "--settings FILE.toml reads settings from a file; the environment (CONVSERVE_NAME) and flags go before it\n"
            "--show-settings prints every setting with its source and ends\n"
        )
    settings = read_settings(flags, known.settings)
    passed_over = list(explain_passed_over(os.environ))
    if known.show_settings:
        for line in passed_over:
            print(line, file=sys.stderr)
        return _show_settings(settings, find_sources(flags, known.settings))
    # Imported late: --help and usage errors answer without loading the server.
    from app.observe.logs import set_up_logging

    set_up_logging(settings.log_level, settings.log_format)
    for line in passed_over:
        log.warning("%s", line)
    try:
        return _serve_as_set(settings, lambda: read_settings(flags, known.settings))
    except UsageError as error:
        if settings.log_format != "json":
            raise
        log.error("%s", error)
        return 2


def _serve_as_set(settings: Settings, read_again: Callable[[], Settings]) -> int:
    """Raises UsageError where that can't be, and what `read_again` raises is told at SIGHUP."""
    from app.server.sockets import address_of, open_socket

    _check_device(settings)
    _check_repository(settings)
    _check_certificate(settings)

    def read_aliases() -> dict[str, str] | None:
        try:
            return read_again().aliases
        except UsageError as error:
            log.error("the aliases stay as they are: %s", error)
            return None

    try:
        listener = open_socket(settings.host, settings.port)
    except OSError as error:
        raise UsageError(f"{settings.host}:{settings.port} can't be listened at: {error.strerror}") from error
    log.info("serving %s at %s", settings.repository, address_of(listener, tls=settings.ssl_certfile is not None))
    if settings.workers == 1:
        from app.catalog.catalog import Catalog
        from app.catalog.control import LocalControl
        from app.main import create_app
        from app.server.guard import UnsupportedServer
        from app.server.server import serve

        catalog = Catalog(settings)
        control = LocalControl(settings, catalog)
        try:
            serve(create_app(settings, catalog, control), settings, control, listener, read_aliases)
        except UnsupportedServer as error:
            raise UsageError(str(error)) from error
        return 0
    from app.workers.supervisor import serve_with_workers

    port = listener.getsockname()[1]
    listener.close()  # it proved the address free; each worker has a socket of its own there
    with open_socket(settings.host, port, shared=True):  # keeps the port ours while workers come and go
        return serve_with_workers(settings, port, read_aliases)


def _check_repository(settings: Settings) -> None:
    """A server doesn't start on a folder that isn't there; one that is empty may be filled later. Raises UsageError."""
    from artifact.errors import ArtifactError
    from artifact.layout import list_models

    try:
        if not list_models(settings.repository):
            remedy = "fill it with convserve-export" + ("" if settings.poll_s else ", then send SIGHUP or set poll_s")
            log.warning("the repository %s is empty: %s", settings.repository, remedy)
    except ArtifactError as error:
        raise UsageError(error.detail) from error


def _check_certificate(settings: Settings) -> None:
    """Raises UsageError where https can't be served as set."""
    from app.server.certificate import check_certificate

    try:
        check_certificate(settings.ssl_certfile, settings.ssl_keyfile)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_device(settings: Settings) -> None:
    """A server that was told to use CUDA doesn't start without it. Raises UsageError."""
    if not settings.device.startswith("cuda"):
        return
    import onnxruntime

    from app.inference.devices import choose_devices

    try:
        choose_devices(settings.device, onnxruntime)
    except DeviceUnavailable as error:
        raise UsageError(
            f"device {settings.device} can't be had: {error.detail}; install an NVIDIA driver and the gpu extra "
            "instead of the cpu extra, or serve with --device cpu"
        ) from error


def _show_settings(settings: Settings, sources: dict[str, str]) -> int:
    rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in settings.model_dump(mode="json").items()]
    wide, long = max(len(name) for name, _ in rows), max(min(len(value), 40) for _, value in rows)
    for name, value in rows:
        print(f"{name:<{wide}}  {value:<{long}}  {sources[name]}")
    return 0


def _key(arguments: list[str]) -> int:
    argparse.ArgumentParser(
        prog="convserve key", description="Make an API key; the server's settings hold only its hash."
    ).parse_args(arguments)
    from app.admission.keys import hash_key, make_key

    key = make_key()
    print(f"key   {key}\nhash  {hash_key(key)}")
    print("the key is for the client, the hash for api_keys or admin_keys", file=sys.stderr)
    return 0


def _predict(arguments: list[str]) -> int:
    parser = _parser("predict", "Classify images, or every image of a folder.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("images", metavar="IMAGE|FOLDER", type=Path, nargs="+")
    parser.add_argument("--top-k", type=int, metavar="K", help="classes an image (default: 5)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the best class of each image to a CSV file")
    parser.add_argument("--explain", type=Path, metavar="PNG", help="draw where the network looked (one image only)")
    given = parser.parse_args(arguments)
    if given.explain and (len(given.images) > 1 or given.images[0].is_dir()):
        raise UsageError("--explain draws one image: name one file, no folder")
    from app.client.commands import predict_images

    return _run(
        predict_images(
            given.model,
            given.images,
            url=given.url,
            repository=given.repository,
            top_k=given.top_k,
            as_json=given.json,
            csv_file=given.csv,
            picture=given.explain,
        )
    )


def _models(arguments: list[str]) -> int:
    given = _parser("models", "List models and their state.").parse_args(arguments)
    from app.client.commands import show_models

    return _run(show_models(url=given.url, repository=given.repository, as_json=given.json))


def _bench(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="convserve bench", description="Measure a model at each batch size, in this process and without HTTP."
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--repository", type=Path, metavar="DIR", help="where the model is (default: ./repository)")
    parser.add_argument("--version", type=int, metavar="N", help="default: the newest")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="time a batch size (default: 1)")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw images a second over the batch size")
    given = parser.parse_args(arguments)
    from app.client.sweep import run_bench
    from artifact.errors import ArtifactError

    flags = [f"--{name}={value}" for name in ("repository", "device") if (value := getattr(given, name))]
    settings = read_settings(flags, None)
    try:
        print(run_bench(settings, given.model, version=given.version, plot=given.plot, seconds=given.seconds))
    except (ArtifactError, OSError) as error:
        print(f"convserve: {error}", file=sys.stderr)
        return 1
    return 0


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"convserve {command}", description=description)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="a running service, such as http://127.0.0.1:8000")
    where.add_argument(
        "--repository", type=Path, metavar="DIR", help="a repository to load from (default: ./repository)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _run(work: Coroutine[Any, Any, int]) -> int:
    from app.client.connect import RequestFailed

    # An app within this process says everything in its answers; its log would say it twice.
    logging.basicConfig(level=logging.CRITICAL)
    try:
        return asyncio.run(work)
    except BrokenPipeError:
        raise
    except RequestFailed as error:
        print(f"convserve: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convserve: {error.filename} can't be used: {error.strerror}", file=sys.stderr)
        return 1


def read_settings(flags: Sequence[str], file: Path | None) -> Settings:
    """Settings, with every way in which they can be wrong as one UsageError of one line."""
    try:
        return load_settings(flags, file)
    except ValidationError as error:
        raise UsageError(_explain_setting(error.errors()[0])) from error
    except SettingsError as error:
        raise UsageError(_explain_parser(error)) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from error


def _explain_setting(error: Mapping[str, Any]) -> str:
    """What is wrong with a setting, without its value where that may be a key itself: it would be in every log."""
    name, *_ = map(str, error["loc"])
    where = ".".join(map(str, error["loc"]))
    if name in ("api_keys", "admin_keys"):
        return (
            f"the setting {where} is no SHA-256 of a key (64 digits 0-9, a-f): `convserve key` makes a key for the "
            "client and its hash for this setting"
        )
    if error["type"] == "extra_forbidden":
        return f"there is no setting {where}: `convserve serve --help` lists them"
    return f"the setting {where} is {error['input']!r}: {error['msg']}"


def _explain_parser(error: SettingsError) -> str:
    """What can't be read at all, without the values of flags that there aren't."""
    message = str(error).removeprefix("error parsing CLI: ")
    if message.startswith("error parsing value"):
        return str(error.__cause__)
    known, unknown, given = message.partition("unrecognized arguments: ")
    if not unknown:
        return message
    flags = [word.partition("=")[0] for word in given.split() if word.startswith("-")]
    return known + (f"there is no flag {', '.join(flags)}" if flags else "there is a value without a flag")
