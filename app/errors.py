"""The error tree: every way a request or an artifact can fail, with its HTTP status and code. Knows no web
framework. The errors of an artifact or an image alone are defined in artifact/errors.py.

ConvserveError
├── BadRequest 400 ── UndecodableImage, EmptyBody, BadJson, BadForm, BadTensor, BadReceipt, RowFailed
├── Unauthorized 401
├── Forbidden 403 ── ManagementOff, KeyNotForModel
├── NotFound 404 ── UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, UnknownAlias,
│                   UnknownShadow, UnknownImage, UnknownPath, UnknownService
├── MethodNotAllowed 405
├── RequestTimeout 408
├── Conflict 409 ── LoadRefused, AliasOfSettings, ShadowOfSettings
├── TooLarge 413 ── ImageTooLarge, RequestTooLarge, TooManyPixels, TooManyParts, TooManyImages, TooManyRows
├── UnsupportedType 415
├── InvalidParameter 422 ── NotExplainable, NotEmbeddable
├── Overloaded 429
├── RateExceeded 429
├── UnsupportedCoding 501
├── UnknownCall 501
├── Unavailable 503 ── Loading, Draining, DeviceFailed, WorkerFailed, StateNotWritten
├── DeadlineExceeded 504
├── UnsupportedVersion 505
├── Unexpected 500
└── ArtifactError (never reaches a client as such: the catalog keeps it as a model's reason)
    ├── DeviceUnavailable
    ├── OverBudget
    ├── StoreError
    └── NotWhole
"""

from __future__ import annotations

import math

from artifact.errors import ArtifactError, BadRequest, ConvserveError, TooLarge


class BadJson(BadRequest):
    code, title = "bad_json", "The JSON body can't be read"


class BadForm(BadRequest):
    code, title = "bad_form", "The form can't be read"


class BadTensor(BadRequest):
    code, title = "bad_tensor", "The tensor can't be read"


class BadReceipt(BadRequest):
    """A receipt that this service didn't sign, that was changed since, or whose artifact isn't the loaded one."""

    code, title = "bad_receipt", "The receipt isn't valid"


class RowFailed(BadRequest):
    """The model itself can't process an image that decoded well, alone in its batch."""

    code, title = "row_failed", "The model can't process the image"


class Unauthorized(ConvserveError):
    status, code, title = 401, "unauthorized", "An API key is needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ConvserveError):
    status, code, title = 403, "forbidden", "Not allowed"


class ManagementOff(Forbidden):
    code, title = "management_off", "Model management is off"


class KeyNotForModel(Forbidden):
    code, title = "key_not_for_model", "The key is for other models"


class NotFound(ConvserveError):
    status, code, title = 404, "not_found", "Not found"


class UnknownPath(NotFound):
    code, title = "unknown_path", "No such address"


class UnknownService(NotFound):
    """Over gRPC: a health check names a service that there isn't."""

    code, title = "unknown_service", "No such service"


class UnknownModel(NotFound):
    code, title = "unknown_model", "No such model"


class UnknownVersion(NotFound):
    code, title = "unknown_version", "No such version"


class UnknownAlias(NotFound):
    code, title = "unknown_alias", "No such alias"


class UnknownShadow(NotFound):
    code, title = "unknown_shadow", "No such shadow"


class UnknownImage(NotFound):
    """The image of a disagreement was never kept, or isn't any more."""

    code, title = "unknown_image", "No such image"


class ModelRefused(NotFound):
    code, title = "model_refused", "The model was refused"


class ModelUnloaded(NotFound):
    code, title = "model_unloaded", "The model was unloaded"


class MethodNotAllowed(ConvserveError):
    status, code, title = 405, "method_not_allowed", "Method not allowed"


class RequestTimeout(ConvserveError):
    """The header or the body of a request came too slowly."""

    status, code, title = 408, "request_timeout", "The request came too slowly"


class Conflict(ConvserveError):
    status, code, title = 409, "conflict", "Conflict"


class LoadRefused(Conflict):
    """The version on disk can't be served; the one that was loaded goes on serving."""

    code, title = "load_refused", "The model can't be loaded"


class AliasOfSettings(Conflict):
    """The alias is defined only in the settings: a request can't delete it."""

    code, title = "alias_of_settings", "The alias is defined in the settings"


class ShadowOfSettings(Conflict):
    """The shadow is defined only in the settings: a request can't delete it."""

    code, title = "shadow_of_settings", "The shadow is defined in the settings"


class RequestTooLarge(TooLarge):
    code, title = "request_too_large", "The request has too many bytes"


class TooManyImages(TooLarge):
    code, title = "too_many_images", "The request has too many images"


class TooManyRows(TooLarge):
    code, title = "too_many_rows", "The request has more rows than the queue holds"


class InvalidParameter(ConvserveError):
    status, code, title = 422, "invalid_parameter", "Invalid parameter"


class NotExplainable(InvalidParameter):
    code, title = "not_explainable", "The model can't be explained"


class NotEmbeddable(InvalidParameter):
    code, title = "not_embeddable", "The model gives no embeddings"


class UnsupportedCoding(ConvserveError):
    status, code, title = 501, "unsupported_transfer_coding", "The transfer coding is not supported"


class UnknownCall(ConvserveError):
    """Over gRPC: there is no method of this name."""

    status, code, title = 501, "unknown_call", "No such call"


class UnsupportedVersion(ConvserveError):
    status, code, title = 505, "unsupported_http_version", "The version of HTTP is not supported"


class _Temporary(ConvserveError):
    """An error that may soon be over: Retry-After says when to try again, in whole seconds, at least one."""

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, math.ceil(retry_after_s)))})


class Overloaded(_Temporary):
    status, code, title = 429, "overloaded", "The model can't take the request now"


class RateExceeded(_Temporary):
    """A key has sent more images than its rows_per_s allows."""

    status, code, title = 429, "rate_exceeded", "The key's rate is used up"


class Unavailable(_Temporary):
    status, code, title = 503, "unavailable", "Unavailable"


class Loading(Unavailable):
    code, title = "loading", "The model is loading"


class Draining(Unavailable):
    code, title = "draining", "The server is shutting down"


class DeviceFailed(Unavailable):
    code, title = "device_failed", "The device failed"


class WorkerFailed(Unavailable):
    """A worker process ended before it answered."""

    code, title = "worker_failed", "A worker failed"


class StateNotWritten(Unavailable):
    """A change that should outlive a restart couldn't be written to state_file; nothing changed."""

    code, title = "state_not_written", "The change can't be saved"


class Unexpected(ConvserveError):
    """An internal error (a bug in convserve): the only one that a client sees as 500."""


class DeadlineExceeded(ConvserveError):
    status, code, title = 504, "deadline_exceeded", "The deadline passed"


class DeviceUnavailable(ArtifactError):
    code, title = "device_unavailable", "The device is not available"


class OverBudget(ArtifactError):
    """A load that would exceed memory_budget."""

    code, title = "over_budget", "Not enough memory"


def too_many_images(limit: int) -> TooManyImages:
    """For a request with more images than `limit`."""
    return TooManyImages(
        f"the request has more than {limit} images, the limit (max_images): send fewer at once or raise the limit"
    )
