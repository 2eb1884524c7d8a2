"""What the card itself can do, measured by ONNX Runtime: a matrix product and a copy, without weights.

The graphs are made with the pack, since a machine that runs them needn't have onnx.
"""

from __future__ import annotations

from pathlib import Path

PROBES = {"fp32": "FLOAT", "fp16": "FLOAT16"}
COPY = "copy"


def probe_file(pack: Path, name: str) -> Path:
    return pack / "probes" / f"{name}.onnx"


def write_probes(pack: Path) -> None:
    """One MatMul [n, n] x [n, n] a precision, and one `Neg` of float32 [n] that reads and writes each byte once."""
    import onnx
    from onnx import TensorProto, helper

    def write(name: str, op: str, kind: int, rank: int, inputs: tuple[str, ...]) -> None:
        def value(title: str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(title, kind, ["n"] * rank)

        graph = helper.make_graph([helper.make_node(op, inputs, ["y"])], name, [*map(value, inputs)], [value("y")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        target = probe_file(pack, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(model.SerializeToString())

    for name, kind in PROBES.items():
        write(name, "MatMul", getattr(TensorProto, kind), 2, ("a", "b"))
    write(COPY, "Neg", TensorProto.FLOAT, 1, ("a",))
