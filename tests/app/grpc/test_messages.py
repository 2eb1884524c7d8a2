"""The tables of app/grpc/protocol.py against the messages that tritonclient was generated from."""

import pytest
from google.protobuf.descriptor_pool import Default
from tritonclient.grpc import service_pb2

from app.grpc.messages import POOL, fill, find_class, parse
from app.grpc.protocol import HEALTH, INFERENCE
from artifact.errors import BadRequest


@pytest.mark.parametrize("name", INFERENCE.messages)
def test_every_field_has_tritons_number_and_type(name: str) -> None:
    ours, theirs = (pool.FindMessageTypeByName(f"inference.{name}") for pool in (POOL, Default()))
    for field in ours.fields:
        there = theirs.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (there.number, there.type, there.is_repeated)
        for kind in ("message_type", "enum_type"):
            names = [getattr(getattr(one, kind), "full_name", None) for one in (field, there)]
            assert names[0] == names[1]
        assert (field.containing_oneof is None) == (there.containing_oneof is None)


@pytest.mark.parametrize("name", INFERENCE.enums)
def test_every_value_of_an_enum_has_tritons_number(name: str) -> None:
    theirs = Default().FindEnumTypeByName(f"inference.{name}").values_by_name
    assert INFERENCE.enums[name] == {value: theirs[value].number for value in INFERENCE.enums[name]}


def test_every_call_takes_and_gives_tritons_messages() -> None:
    theirs = Default().FindServiceByName(INFERENCE.name).methods_by_name
    for name in INFERENCE.calls:
        ours, there = POOL.FindMethodByName(f"{INFERENCE.name}.{name}"), theirs[name]
        assert ours.input_type.full_name == there.input_type.full_name
        assert ours.output_type.full_name == there.output_type.full_name
        assert (ours.client_streaming, ours.server_streaming) == (there.client_streaming, there.server_streaming)
    absent = ("SharedMemory", "TraceSetting", "LogSettings")
    assert not [name for name in theirs.keys() - INFERENCE.calls.keys() if not any(word in name for word in absent)]


def test_a_message_with_every_kind_of_field_survives_the_wire_both_ways() -> None:
    ours = find_class("ModelInferRequest")(model_name="tiny", raw_input_contents=[b"\0\xff"])
    ours.inputs.add(name="image", shape=[-1, 2**40]).contents.fp32_contents.append(0.5)
    ours.parameters["timeout"].int64_param = -5
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert theirs.inputs[0].shape == [-1, 2**40]
    assert theirs.parameters["timeout"].int64_param == -5
    assert find_class("ModelInferRequest").FromString(theirs.SerializeToString()) == ours


def test_a_table_fills_a_message_of_any_service() -> None:
    assert fill("HealthCheckResponse", {"status": "SERVING"}).status == 1
    assert fill("ModelMetadataResponse", {"inputs": [{"name": "image", "shape": [-1, 8]}]}).inputs[0].shape == [-1, 8]
    assert set(POOL.FindServiceByName(HEALTH.name).methods_by_name) == set(HEALTH.calls)


def test_bytes_that_are_no_message_are_named() -> None:
    with pytest.raises(BadRequest, match=r"the 3 bytes received are no inference\.ModelInferRequest"):
        parse(find_class("ModelInferRequest"), b"\xff\xff\xff")
