import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.errors import DeviceUnavailable
from app.inference.devices import CUDA, ONE_CONV, CudaOptions, choose_device, cuda_providers
from app.settings import Settings
from tests.makers.fake_runtime import FakeRuntime


def test_auto_takes_the_cpu_and_says_why_where_there_is_no_cuda() -> None:
    device = choose_device("auto", FakeRuntime(has_cuda=False))
    assert device.name == "cpu"
    assert "gpu extra" in device.reason


def test_auto_takes_a_gpu_that_runs_a_convolution() -> None:
    runtime = FakeRuntime()
    device = choose_device("auto", runtime)
    assert (device.name, device.kind, device.index) == ("cuda:0", "cuda", 0)
    assert runtime.preloaded, "the CUDA libraries are found only after preload_dlls"
    assert runtime.shapes_run == [(1, 1, 8, 8)]


def test_a_gpu_can_be_named_by_number() -> None:
    assert choose_device("cuda:3", FakeRuntime()).index == 3


def test_cpu_is_taken_without_looking_at_cuda() -> None:
    runtime = FakeRuntime()
    assert choose_device("cpu", runtime).name == "cpu"
    assert not runtime.preloaded


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        (FakeRuntime(has_cuda=False), "gpu extra"),
        (FakeRuntime(libraries_load=False), "libcudnn.so.9"),
    ],
)
def test_cuda_that_does_not_run_is_an_error_and_never_the_cpu(runtime: FakeRuntime, reason: str) -> None:
    with pytest.raises(DeviceUnavailable, match=reason):
        choose_device("cuda", runtime)


def test_a_convolution_that_fails_to_run_is_an_error() -> None:
    runtime = FakeRuntime()
    runtime.run_error = RuntimeError("CUDNN_STATUS_NOT_INITIALIZED\n  at conv.cc:12")
    with pytest.raises(DeviceUnavailable, match=r"NOT_INITIALIZED$"):
        choose_device("cuda", runtime)


def test_settings_reach_the_provider_by_its_own_names() -> None:
    options = CudaOptions.of(Settings(prefer_nhwc=True, use_tf32=False, cudnn_conv_algo_search="EXHAUSTIVE"))
    ((name, given), _) = cuda_providers(2, fallback=True, options=options)
    assert name == CUDA
    assert given == {
        "device_id": 2,
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "prefer_nhwc": "1",
        "fuse_conv_bias": "0",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "enable_cuda_graph": "0",
    }


def test_the_options_of_a_session_are_those_of_the_settings_unless_said() -> None:
    assert CudaOptions.of(Settings()) == CudaOptions()


def test_the_real_runtime_without_a_gpu_refuses_cuda() -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(DeviceUnavailable):
        choose_device("cuda", onnxruntime)


def test_the_shipped_graph_is_one_convolution() -> None:
    """Written with exactly these lines."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3])],
        "one_conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6, 6])],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="convserve"
    )
    assert onnx.load(ONE_CONV) == model
