"""`convserve serve`: what can't work is said before anything is loaded."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from app.cli.read_settings import read_settings
from app.cli.usage import UsageError
from app.errors import DeviceUnavailable
from app.machine import count_cores
from app.settings import Settings
from app.settings_sources import explain_passed_over, find_sources

log = logging.getLogger(__name__)

T = TypeVar("T")


def serve(arguments: list[str]) -> int:
    """Answer HTTP requests until a signal ends it. Raises UsageError."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--settings", type=Path)
    own.add_argument("--show-settings", action="store_true")
    known, flags = own.parse_known_args(arguments)
    if "-h" in flags or "--help" in flags:
        print(
            "--settings FILE.toml reads settings from a file; the environment (CONVSERVE_NAME) and flags override it\n"
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

    _check_grpc(settings)
    _check_device(settings)
    settings = _find_repository(settings)
    _check_repository(settings)
    _check_certificate(settings)
    _check_state(settings)
    _check_receipt_key(settings)

    def read_or_say() -> Settings | None:
        try:
            return _find_repository(read_again())
        except UsageError as error:
            log.error("the aliases and shadows are unchanged: %s", error)
            return None

    listener, tls = _listen(settings.host, settings.port, "--port"), settings.ssl_certfile is not None
    addresses = [address_of(listener, tls=tls)]
    if settings.grpc_port is not None:
        # gRPC opens its own socket, and says less of what is wrong.
        with _listen(settings.host, settings.grpc_port, "--grpc-port") as proof:
            settings = settings.model_copy(update={"grpc_port": proof.getsockname()[1]})
            addresses.append(address_of(proof, tls=tls, scheme="grpc"))
    log.info("serving %s at %s", settings.repository, " and ".join(addresses))
    if _is_one_process(settings):
        from app.catalog.catalog import Catalog
        from app.catalog.control import LocalControl
        from app.main import create_app
        from app.server.guard import UnsupportedServer
        from app.server.server import serve

        catalog = Catalog(settings)
        control = LocalControl(settings, catalog)
        try:
            serve(create_app(settings, catalog, control), settings, control, listener, read_or_say)
        except UnsupportedServer as error:
            raise UsageError(str(error)) from error
        return 0
    from app.workers.supervisor import serve_with_workers

    port = listener.getsockname()[1]
    listener.close()  # it proved the address free; each worker has a socket of its own there
    with ExitStack() as kept:  # the ports stay ours while workers come and go
        for ours in (port, settings.grpc_port):
            if ours is not None:
                kept.enter_context(open_socket(settings.host, ours, shared=True))
        return serve_with_workers(settings, port, read_or_say)


def _listen(host: str, port: int, option: str) -> socket.socket:
    """`option` names the port on the command line. Raises UsageError where nothing can listen there."""
    from app.server.sockets import open_socket

    try:
        return open_socket(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is already in use: choose another with {option}") from error
        if error.errno == errno.EACCES:
            remedy = f"choose one from 1024 up with {option}"
        else:  # no address of this machine, or no name that leads to one
            remedy = (
                "name an address of this machine with --host, such as 127.0.0.1 (for it alone) or 0.0.0.0 (for all)"
            )
        raise UsageError(f"can't listen on {host}:{port} ({error.strerror}): {remedy}") from error


def _is_one_process(settings: Settings) -> bool:
    """One worker needs no process above it: where only one can be decided on, that is said."""
    from app.workers.count import decide_beforehand

    if settings.workers != "auto":
        return settings.workers == 1
    if decision := decide_beforehand(settings, count_cores()):
        log.info("%s", decision)
    return decision is not None


def _find_repository(settings: Settings) -> Settings:
    """Raises UsageError where it is a model that can't be made one."""
    from app.catalog.mounted import find_repository
    from artifact.errors import ArtifactError

    try:
        return find_repository(settings)
    except ArtifactError as error:
        raise UsageError(error.detail) from error


def _check_repository(settings: Settings) -> None:
    """A server doesn't start on a folder or store that isn't there; one that is empty may be filled later. What nothing
    was copied of yet is copied here: no signal waits for that. Raises UsageError.
    """
    from app.catalog.mirror import Mirror
    from artifact.errors import ArtifactError
    from artifact.layout import list_models

    try:
        if settings.is_store and not (mirror := Mirror(settings)).is_filled and _wait_for(mirror.refresh):
            return  # what it couldn't copy, it said
        if not list_models(settings.folder):
            remedy = "fill it with convserve-export"
            remedy += "" if settings.looks_every_s else ", then send SIGHUP or set poll_s"
            log.warning("the repository %s is empty: %s", settings.repository, remedy)
    except ArtifactError as error:
        raise UsageError(error.detail) from error


def _wait_for(work: Callable[[], T]) -> T:
    """What `work` gives or raises, which waits within a library: in a thread, so that this one takes signals."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


def _check_certificate(settings: Settings) -> None:
    """Raises UsageError where https can't be served as set."""
    from app.server.certificate import check_certificate

    try:
        check_certificate(settings.ssl_certfile, settings.ssl_keyfile)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_state(settings: Settings) -> None:
    """Raises UsageError where what a restart should keep can't be read, or its images can't be written."""
    from app.catalog.traffic.changes import TrafficChanges
    from app.catalog.traffic.image_folder import check_folder
    from app.catalog.traffic.traffic import Traffic

    try:
        TrafficChanges(Traffic(settings.aliases, settings.shadows), settings.state_file)
        if settings.shadow_images is not None:
            check_folder(settings.shadow_images)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_receipt_key(settings: Settings) -> None:
    """Raises UsageError where receipts can't be signed as set."""
    from app.admission.feedback import read_receipt_key

    try:
        read_receipt_key(settings.receipt_key)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_grpc(settings: Settings) -> None:
    """Raises UsageError where gRPC can't be served as set."""
    if settings.grpc_port is not None and not (find_spec("grpc") and find_spec("grpc_reflection")):
        raise UsageError(
            f"grpc_port is {settings.grpc_port}, but gRPC isn't installed: install the grpc extra or leave it out"
        )


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
            f"{error.detail}; install an NVIDIA driver and the gpu extra "
            "instead of the cpu extra, or choose --device cpu"
        ) from error


def _show_settings(settings: Settings, sources: dict[str, str]) -> int:
    shown = settings.model_dump(mode="json")
    if settings.receipt_key is not None:
        shown["receipt_key"] = "(hidden)"  # by mistake it may be the key itself
    rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in shown.items()]
    wide, long = max(len(name) for name, _ in rows), max(min(len(value), 40) for _, value in rows)
    for name, value in rows:
        print(f"{name:<{wide}}  {value:<{long}}  {sources[name]}")
    return 0
