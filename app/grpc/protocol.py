"""What is said over gRPC: the Open Inference Protocol v2, and gRPC's own health protocol, as tables.

They are facts of the published protocols, as far as this service speaks them: the names, numbers and types by which
every client of Triton or KServe is understood. https://github.com/kserve/open-inference-protocol, Triton's extensions
of it, and https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """Its messages by name: fields as a .proto file has them. A dot is one message within another, "map" one whose keys
    are text, and "oneof" marks the choices of the only one that the message has.
    """

    name: str
    messages: dict[str, str]
    enums: dict[str, dict[str, int]]
    calls: dict[str, tuple[str, str]]
    """Request and response."""


_NAME = "string name = 1"
_MODEL = f"{_NAME}; string version = 2"
_MANAGED = "string repository_name = 1; string model_name = 2; map ModelRepositoryParameter parameters = 3"
_TENSOR = f"{_NAME}; string datatype = 2; repeated int64 shape = 3"
_DATA = f"{_TENSOR}; map InferParameter parameters = 4; InferTensorContents contents = 5"

_MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": f"{_NAME}; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": _MODEL,
    "ModelMetadataResponse": f"{_NAME}; repeated string versions = 2; string platform = 3; "
    "repeated ModelMetadataResponse.TensorMetadata inputs = 4; "
    "repeated ModelMetadataResponse.TensorMetadata outputs = 5",
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "InferParameter": "oneof bool bool_param = 1; oneof int64 int64_param = 2; oneof string string_param = 3; "
    "oneof double double_param = 4; oneof uint64 uint64_param = 5",
    "InferTensorContents": "repeated bool bool_contents = 1; repeated int32 int_contents = 2; "
    "repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; "
    "repeated float fp32_contents = 6; repeated double fp64_contents = 7; repeated bytes bytes_contents = 8",
    "ModelInferRequest": "string model_name = 1; string model_version = 2; string id = 3; "
    "map InferParameter parameters = 4; repeated ModelInferRequest.InferInputTensor inputs = 5; "
    "repeated ModelInferRequest.InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7",
    "ModelInferRequest.InferInputTensor": _DATA,
    "ModelInferRequest.InferRequestedOutputTensor": f"{_NAME}; map InferParameter parameters = 2",
    "ModelInferResponse": "string model_name = 1; string model_version = 2; string id = 3; "
    "map InferParameter parameters = 4; repeated ModelInferResponse.InferOutputTensor outputs = 5; "
    "repeated bytes raw_output_contents = 6",
    "ModelInferResponse.InferOutputTensor": _DATA,
    "ModelStreamInferResponse": "string error_message = 1; ModelInferResponse infer_response = 2",
    "ModelConfigRequest": _MODEL,
    "ModelConfigResponse": "ModelConfig config = 1",
    "ModelConfig": f"{_NAME}; string platform = 2; string backend = 17; int32 max_batch_size = 4; "
    "repeated ModelInput input = 5; repeated ModelOutput output = 6; repeated ModelInstanceGroup instance_group = 7; "
    "oneof ModelDynamicBatching dynamic_batching = 11",
    "ModelInput": f"{_NAME}; DataType data_type = 2; ModelInput.Format format = 3; repeated int64 dims = 4",
    "ModelOutput": f"{_NAME}; DataType data_type = 2; repeated int64 dims = 3; string label_filename = 4",
    "ModelInstanceGroup": "int32 count = 2; repeated int32 gpus = 3; ModelInstanceGroup.Kind kind = 4",
    "ModelDynamicBatching": "uint64 max_queue_delay_microseconds = 2; ModelQueuePolicy default_queue_policy = 6",
    "ModelQueuePolicy": "uint64 default_timeout_microseconds = 2; uint32 max_queue_size = 4",
    "ModelStatisticsRequest": _MODEL,
    "ModelStatisticsResponse": "repeated ModelStatistics model_stats = 1",
    "ModelStatistics": f"{_NAME}; string version = 2; uint64 last_inference = 3; uint64 inference_count = 4; "
    "uint64 execution_count = 5; InferStatistics inference_stats = 6; repeated InferBatchStatistics batch_stats = 7; "
    "repeated MemoryUsage memory_usage = 8",
    "InferStatistics": "StatisticDuration success = 1; StatisticDuration fail = 2; StatisticDuration queue = 3; "
    "StatisticDuration compute_input = 4; StatisticDuration compute_infer = 5; StatisticDuration compute_output = 6; "
    "StatisticDuration cache_hit = 7; StatisticDuration cache_miss = 8",
    "InferBatchStatistics": "uint64 batch_size = 1; StatisticDuration compute_input = 2; "
    "StatisticDuration compute_infer = 3; StatisticDuration compute_output = 4",
    "StatisticDuration": "uint64 count = 1; uint64 ns = 2",
    "MemoryUsage": "string type = 1; int64 id = 2; uint64 byte_size = 3",
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "RepositoryIndexResponse": "repeated RepositoryIndexResponse.ModelIndex models = 1",
    "RepositoryIndexResponse.ModelIndex": f"{_MODEL}; string state = 3; string reason = 4",
    "ModelRepositoryParameter": "oneof bool bool_param = 1; oneof int64 int64_param = 2; "
    "oneof string string_param = 3; oneof bytes bytes_param = 4",
    "RepositoryModelLoadRequest": _MANAGED,
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": _MANAGED,
    "RepositoryModelUnloadResponse": "",
}
_ENUMS = {
    "DataType": {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_FP32": 11},
    "ModelInput.Format": {"FORMAT_NONE": 0, "FORMAT_NHWC": 1, "FORMAT_NCHW": 2},
    "ModelInstanceGroup.Kind": {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3},
}
# Calls that take a request and give a response of their own names.
_PLAIN = (
    *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics"),
    *("ModelInfer", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
)
INFERENCE = Service(
    "inference.GRPCInferenceService",
    _MESSAGES,
    _ENUMS,
    {call: (f"{call}Request", f"{call}Response") for call in _PLAIN}
    | {"ModelStreamInfer": ("stream ModelInferRequest", "stream ModelStreamInferResponse")},
)
HEALTH = Service(
    "grpc.health.v1.Health",
    {
        "HealthCheckRequest": "string service = 1",
        "HealthCheckResponse": "HealthCheckResponse.ServingStatus status = 1",
    },
    {"HealthCheckResponse.ServingStatus": {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}},
    {
        "Check": ("HealthCheckRequest", "HealthCheckResponse"),
        "Watch": ("HealthCheckRequest", "stream HealthCheckResponse"),
    },
)
