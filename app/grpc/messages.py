"""Message classes, made of the tables of app/grpc/protocol.py.

They stand in a pool of their own: a process may hold another library's messages of the same names beside them.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from app.grpc.protocol import HEALTH, INFERENCE, Service
from artifact.errors import BadRequest

Message = Any
"""One of these messages: their classes are made at run time."""

_FIELD = re.compile(r"(?:(repeated|map|oneof) )?(\S+) (\w+) = (\d+)")


def build_file(service: Service) -> FileDescriptorProto:
    """What protoc would make of the service's .proto file."""
    package, _, title = service.name.rpartition(".")
    file = FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3")
    built: dict[str, DescriptorProto] = {}
    for name, fields in service.messages.items():
        parent, _, own = name.rpartition(".")
        built[name] = (built[parent].nested_type if parent else file.message_type).add(name=own)
        for field in _FIELD.finditer(fields):
            _add_field(built[name], f".{package}.{name}", field, f".{package}.", service.enums)
    for name, values in service.enums.items():
        parent, _, own = name.rpartition(".")
        enum = (built[parent].enum_type if parent else file.enum_type).add(name=own)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    methods = file.service.add(name=title).method
    for name, (request, response) in service.calls.items():
        methods.add(
            name=name,
            input_type=f".{package}.{request.removeprefix('stream ')}",
            output_type=f".{package}.{response.removeprefix('stream ')}",
            client_streaming=request.startswith("stream "),
            server_streaming=response.startswith("stream "),
        )
    return file


def _add_field(
    message: DescriptorProto, full_name: str, field: re.Match[str], package: str, enums: dict[str, dict[str, int]]
) -> None:
    rule, kind, name, number = field.groups()
    added = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if rule in ("repeated", "map"):
        added.label = FieldDescriptorProto.LABEL_REPEATED
    elif rule == "oneof":
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        added.oneof_index = 0
    if rule == "map":  # on the wire a list of pairs
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        entry.field.add(
            name="key", number=1, label=FieldDescriptorProto.LABEL_OPTIONAL, type=FieldDescriptorProto.TYPE_STRING
        )
        value = entry.field.add(name="value", number=2, label=FieldDescriptorProto.LABEL_OPTIONAL)
        _set_type(value, kind, package, enums)
        added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{full_name}.{entry.name}"
    else:
        _set_type(added, kind, package, enums)


def _set_type(field: FieldDescriptorProto, kind: str, package: str, enums: dict[str, dict[str, int]]) -> None:
    if kind[0].islower():
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type = FieldDescriptorProto.TYPE_ENUM if kind in enums else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = package + kind


def _make_classes(service: Service) -> dict[str, type[Message]]:
    POOL.AddSerializedFile(build_file(service).SerializeToString())
    package = service.name.rpartition(".")[0]
    return {name: GetMessageClass(POOL.FindMessageTypeByName(f"{package}.{name}")) for name in service.messages}


POOL = DescriptorPool()
"""For reflection."""
_CLASSES = _make_classes(INFERENCE) | _make_classes(HEALTH)


def find_class(name: str) -> type[Message]:
    """The class of a message by its name in the table."""
    return _CLASSES[name.removeprefix("stream ")]


def parse(kind: type[Message], data: bytes) -> Message:
    """Raises BadRequest for what is no such message."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadRequest(
            f"the {len(data):,} bytes received are no {kind.DESCRIPTOR.full_name}: encode one "
            "as the protocol defines it"
        ) from error


def fill(name: str, fields: dict[str, Any]) -> Message:
    """The message `name` with the fields of a table."""
    return ParseDict(fields, find_class(name)())
