"""Every setting of the server: one table of fields, each with its default, unit and one-line help.

Built once by app/settings_sources.py, and passed in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from app.aliases import Shadow, Target, in_form
from app.platforms import check_health_route, check_predict_route
from artifact.images.limits import Limits
from artifact.layout import NAME_FORM, NAME_PATTERN
from artifact.stores.address import check_address, name_folder

Device = Annotated[
    str,
    AfterValidator(in_form(r"auto|cpu|cuda(:\d+(,\d+)*)?", "give auto, cpu, cuda, or cuda:0 or cuda:0,1")),
]
KeyHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KeyName = Annotated[
    str,
    AfterValidator(in_form(r"[A-Za-z0-9_-]{1,64}", "a name has letters, digits, - and _, at most 64")),
]
# As browsers send it: no path, not even the slash that people copy with it.
Origin = Annotated[
    str,
    AfterValidator(lambda origin: origin.rstrip("/").lower()),
    AfterValidator(lambda origin: _check_origin(origin)),
]
Repository = Annotated[
    Annotated[Path, Tag("folder")] | Annotated[str, AfterValidator(check_address), Tag("store")],
    Discriminator(lambda repository: "store" if isinstance(repository, str) and "://" in repository else "folder"),
]
"""A folder, or the address of a store."""
PredictRoute = Annotated[str, AfterValidator(check_predict_route)]
HealthRoute = Annotated[str, AfterValidator(check_health_route)]
Workers = Annotated[int | Literal["auto"], BeforeValidator(lambda value: _check_workers(value))]
ModelName = Annotated[
    str,
    AfterValidator(in_form(NAME_PATTERN, f"a model's name has {NAME_FORM}")),
]
Versions = Annotated[
    str, AfterValidator(in_form(r"latest|all|\d+(,\d+)*", "give latest, all, or numbers such as 3 or 1,3"))
]


_FOLDER_POLL_S, _STORE_POLL_S = 5.0, 60.0


def _check_origin(origin: str) -> str:
    if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
        raise ValueError("an origin is a scheme, a host and maybe a port, such as https://example.org, or *")
    return origin


def _check_workers(workers: object) -> object:
    if workers != "auto" and not re.fullmatch(r"\d{1,4}", str(workers)):
        raise ValueError("give auto, or a whole number of processes")
    return workers


class ModelSettings(BaseModel):
    """A [model.NAME] table of the settings file: settings that differ for one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_batch_size: int | None = Field(None, ge=1)
    max_wait_ms: float | None = Field(None, ge=0)
    max_queue_rows: int | None = Field(None, ge=1)
    timeout_ms: int | None = Field(None, ge=1)
    device: Device | None = None
    threads: int | None = Field(None, ge=0)


Role = Literal["predict", "admin"]


class KeySettings(BaseModel):
    """A [keys.NAME] table of the settings file: a key, and what its holder may do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: KeyHash
    role: Role = "predict"
    priority: int | None = Field(None, ge=1, le=3)
    rows_per_s: float | None = Field(None, gt=0)
    models: list[str] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.role == "admin" and (self.priority, self.rows_per_s, self.models) != (None, None, None):
            raise ValueError("priority, rows_per_s and models are for keys that predict: this one has role admin")
        return self


class Settings(BaseModel):
    """All settings, in the order in which `convserve serve --help` shows them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: Repository = Field(
        Path("repository"),
        description="folder of the artifacts, <model>/<version>/: a folder, s3://, gs://, az://, https:// or "
        "hf://OWNER/NAME[@REVISION]",
    )
    model_name: ModelName | None = Field(
        None,
        description="another name of the model, where the repository's folder is itself a model or one version of one",
    )
    cache_dir: Path = Field(
        Path("~/.cache/convserve"), description="local folder that a remote repository is copied into"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of the v2 protocol over gRPC; unset: off; 0 takes a free one",
    )
    ssl_certfile: Path | None = Field(
        None, description="PEM file of the certificate, followed by its chain: serves https, and gRPC over TLS"
    )
    ssl_keyfile: Path | None = Field(None, description="PEM file of its key; unset if ssl_certfile has it, too")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:N or, for several GPUs, cuda:N,M")
    workers: Workers = Field(
        "auto",
        description="processes that serve; auto: one per core if every model is tiny, one per GPU, otherwise "
        "one; 0 means one per core",
    )
    threads: int = Field(
        0,
        ge=0,
        description="CPU cores that one process uses for one model; 0 divides the cores equally among the workers",
    )
    decode_threads: int = Field(
        0,
        ge=0,
        description="threads of one process that decode images, in addition to idle runners; 0 divides the cores "
        "equally among the workers",
    )

    # The CUDA provider's options, by its own names. HEURISTIC: EXHAUSTIVE costs seconds for every new shape, DEFAULT
    # can be 50 times slower. kSameAsRequested: the arena doesn't double, so several models share a GPU.
    cudnn_conv_algo_search: Literal["HEURISTIC", "EXHAUSTIVE", "DEFAULT"] = Field(
        "HEURISTIC", description="on CUDA: how cuDNN's convolution algorithms are chosen"
    )
    cudnn_conv_use_max_workspace: bool = Field(True, description="on CUDA: algorithms may take much scratch memory")
    prefer_nhwc: bool = Field(False, description="on CUDA: convolve with channels last")
    fuse_conv_bias: bool = Field(False, description="on CUDA: add the bias and ReLU within the convolution")
    use_tf32: bool = Field(True, description="on CUDA: round float32 factors to TF32 (10 bits) for the tensor cores")
    arena_extend_strategy: Literal["kSameAsRequested", "kNextPowerOfTwo"] = Field(
        "kSameAsRequested", description="on CUDA: by how much ONNX Runtime's memory grows"
    )
    cuda_graphs: bool = Field(
        False, description="on CUDA: replay each batch size as one graph, where every node runs on the GPU"
    )

    load: list[str] = Field([], description="names of the models to load; empty loads all")
    require: list[str] = Field([], description="names that must load before the server is ready")
    default_model: str | None = Field(None, description="the model that POST /predict and /invocations mean")
    versions: Versions = Field("latest", description="versions to load of each model: latest, all or 1,3")
    aliases: dict[str, Target] = Field(
        {},
        description="other names, alias -> model, model/version, weights, {to, sticky, guard} or a cascade, "
        "{first, then, when, coverage}; SIGHUP reads them again",
    )
    shadows: dict[str, Shadow] = Field(
        {},
        description="models tried beside others, name -> {of, run, share, keep_images}: `run` sees a share of the "
        "images that `of` answers; SIGHUP reads them again",
    )
    shadow_images: Path | None = Field(
        None, description="folder for the images that shadows with keep_images may keep; none: memory"
    )
    state_file: Path | None = Field(
        None, description="file that keeps aliases and shadows set by requests over a restart; unset: they are lost"
    )
    poll_s: float | None = Field(
        None,
        ge=0,
        description="seconds between checks of the repository for changes; default 5, or 60 for a remote repository; "
        "0 never checks",
    )
    memory_budget: int = Field(0, ge=0, description="MB that models may take in all workers together; 0: no limit")

    max_batch_size: int = Field(32, ge=1, description="most rows in one batch; a card may set less")
    max_wait_ms: float = Field(0.0, ge=0, description="ms that an idle session waits for a fuller batch")
    max_queue_rows: int = Field(
        256,
        ge=1,
        description="rows that one sender (an API key, or all clients without one) may have waiting for one model, in "
        "each process and each priority class, decoding included",
    )
    timeout_ms: int = Field(10_000, ge=1, description="ms until an unanswered request gets 504")
    drain_timeout_s: int = Field(30, ge=0, description="seconds that a stopping server waits for its requests")

    max_image_bytes: int = Field(10_000_000, ge=1, description="bytes of one encoded image")
    max_request_bytes: int = Field(64_000_000, ge=1, description="bytes of one request, after inflating")
    max_pixels: int = Field(50_000_000, ge=1, description="pixels of one image, read from its header")
    max_parts: int = Field(100_000, ge=1, description="segments, chunks, blocks, strips and frames of one image file")
    max_scanned: int = Field(1_000_000_000, ge=1, description="samples that the scans of one JPEG go over, together")
    max_images: int = Field(64, ge=1, description="images in one request")

    header_timeout_s: float = Field(10, gt=0, description="seconds for the header of a request, from its first byte")
    body_timeout_s: float = Field(60, gt=0, description="seconds for the body of a request, from its header")
    keep_alive_s: int = Field(5, ge=0, description="seconds that an idle connection stays open")

    api_keys: list[KeyHash] = Field(
        [],
        description="SHA-256 of keys that may predict (convserve key); without any, here or in [keys.NAME] tables, "
        "anybody may",
    )
    admin_keys: list[KeyHash] = Field(
        [],
        description="SHA-256 of keys that may load, unload, set aliases and shadows; without any, here or in "
        "[keys.NAME] tables, nobody may",
    )
    keys: dict[KeyName, KeySettings] = Field(
        {},
        description="[keys.NAME] tables of the settings file, in addition to api_keys and admin_keys: hash, role "
        "(predict or admin) and, with role predict, priority, rows_per_s and models",
    )
    cors_origins: list[Origin] = Field([], description="origins whose pages may call, such as https://example.org")
    root_path: str = Field("", description="path that a proxy puts in front, such as /images")
    forwarded_allow_ips: list[str] = Field(
        ["127.0.0.1"], description="proxies whose X-Forwarded-For and -Proto are trusted: addresses, networks or *"
    )
    receipt_key: Path | None = Field(
        None, description="file with the key that signs receipts of predictions (?receipt=1); unset: no receipts"
    )
    predict_route: PredictRoute | None = Field(
        None, description="another address for predictions of the default model, as Vertex AI sends them"
    )
    health_route: HealthRoute | None = Field(None, description="another address that says whether the server is ready")
    show_golden: bool = Field(True, description="show the golden images of models as samples")

    access_log: bool = Field(False, description="log every request")
    log_format: Annotated[str, AfterValidator(in_form("text|json", "give text or json"))] = Field(
        "text", description="text or json"
    )
    log_level: Annotated[
        str, AfterValidator(in_form("debug|info|warning|error", "give debug, info, warning or error"))
    ] = Field("info", description="debug, info, warning or error")

    model: dict[str, ModelSettings] = Field(
        {},
        description="[model.NAME] tables of the settings file: max_batch_size, max_wait_ms, max_queue_rows, "
        "timeout_ms, device and threads of one model",
    )

    def of_model(self, name: str) -> Settings:
        """These settings with the [model.NAME] table laid over them."""
        table = self.model.get(name)
        if table is None:
            return self
        return self.model_copy(update=table.model_dump(exclude_none=True))

    def has_keys(self, role: Role) -> bool:
        """Whether any key has this role: then predictions need a key, or models can be managed."""
        short = self.api_keys if role == "predict" else self.admin_keys
        return bool(short) or any(table.role == role for table in self.keys.values())

    @property
    def is_store(self) -> bool:
        """Whether the repository is a store, which is copied into `folder`."""
        return isinstance(self.repository, str)

    @property
    def folder(self) -> Path:
        """The local folder of the artifacts: the repository itself, or the copy of a store."""
        if isinstance(self.repository, Path):
            return self.repository
        return self.cache_dir.expanduser() / name_folder(self.repository)

    @property
    def looks_every_s(self) -> float:
        """Seconds between checks of the repository: poll_s or its default; 0 never checks."""
        if self.poll_s is not None:
            return self.poll_s
        return _STORE_POLL_S if self.is_store else _FOLDER_POLL_S

    @property
    def limits(self) -> Limits:
        return Limits(self.max_image_bytes, self.max_pixels, self.max_parts, self.max_scanned)
