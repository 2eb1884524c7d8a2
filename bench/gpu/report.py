"""The report of a run: report.md, report.json and plots, from what the pieces kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.goals import Found, judge
from bench.gpu.plot import Lines, draw_lines

Steps = dict[str, dict[str, Any]]

TITLES = {
    "a": "Is CUDA really used?",
    "b": "Precision, beside the CPU",
    "c": "Images a second in process",
    "d": "Over HTTP",
    "e": "JPEG decoding",
    "f": "When memory or the device fails",
}


def write_report(out: Path) -> Path:
    """Write it all into `out`, from <out>/<piece>.json; the path of report.md."""
    found: Found = {
        piece: json.loads((out / f"{piece}.json").read_text(encoding="utf-8"))["steps"]
        for piece in TITLES
        if (out / f"{piece}.json").exists()
    }
    plots = draw_plots(found)
    for name, plot in plots.items():
        (out / name).write_text(plot, encoding="utf-8")
    (out / "report.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    path = out / "report.md"
    path.write_text(write_markdown(found, list(plots)), encoding="utf-8")
    return path


def write_markdown(found: Found, plots: Sequence[str] = ()) -> str:
    machine = found.get("a", {}).get("machine", {})
    card = machine.get("card", {}).get("name", "no GPU")
    lines = [
        f"# {card}",
        "",
        ", ".join(
            [
                f"driver {machine.get('card', {}).get('driver_version', 'none')}",
                f"{machine.get('processor', 'an unknown processor')}, {machine.get('cores', '?')} cores",
                f"Python {machine.get('python', '?')}",
                f"ONNX Runtime {machine.get('onnxruntime', '?')}",
            ]
        ),
        "",
        "| goal | wanted | found | |",
        "|---|---|---:|---|",
    ]
    for goal in judge(found):
        value = "not measured" if goal.value is None else f"{goal.value:.2f}"
        lines.append(f"| {goal.text} | {goal.wanted} | {value} | {'met' if goal.met else ''} |")
    writers = {"a": _checks, "b": _precision, "c": _speed, "d": _served, "e": _plain, "f": _plain}
    for piece, steps in found.items():
        lines += ["", f"## {piece}. {TITLES[piece]}", ""]
        lines += writers[piece]({name: step for name, step in steps.items() if "error" not in step})
        lines += [f"- **{name} failed**: {step['error']}" for name, step in steps.items() if "error" in step]
        lines += [f"![]({name})" for name in plots if name.startswith(f"{piece}-")]
    return "\n".join([*lines, ""])


def _checks(steps: Steps) -> list[str]:
    device = steps.get("device", {})
    lines = [f"Device {device.get('device', 'none')}; `auto` takes {device.get('auto')}: {device.get('reason')}.", ""]
    lines += ["| model | loaded, s | golden difference | tolerance | MB | nodes |", "|---|---:|---:|---:|---:|---|"]
    for name, step in steps.items():
        if "nodes" in step:
            nodes = ", ".join(f"{count} {op}" for op, count in step["nodes"].items()) or "not profiled on a CPU"
            figures = f"{step['load_s']:.2f} | {step['golden_difference']:.1e} | {step['tolerance']:g}"
            lines.append(f"| {name} | {figures} | {step['memory_mb']:,.0f} | {nodes} |")
    return lines


def _precision(steps: Steps) -> list[str]:
    kinds = sorted({kind for step in steps.values() for kind in step["variants"]}, key=("fp32", "tf32", "fp16").index)
    lines = [f"| network | {' | '.join(f'{kind}: worst, equal top-1' for kind in kinds)} |"]
    lines.append("|---|" + "---:|" * len(kinds))
    for name, step in steps.items():
        cells = [
            f"{variant['worst']:.1e}, {variant['equal_top1']}/{variant['of']}"
            if (variant := step["variants"].get(kind))
            else ""
            for kind in kinds
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _speed(steps: Steps) -> list[str]:
    lines = []
    if rates := steps.get("rates"):
        measured = [f"{kind} {rates[kind] / 1e12:,.2f}" for kind in ("fp32", "tf32", "fp16") if kind in rates]
        lines += [f"The card, measured: {', '.join(measured)} TFLOP/s, {rates['bytes'] / 1e9:,.0f} GB/s.", ""]
    lines += [
        "| model | batch | service's session, images/s | ONNX Runtime, plain | bound | arithmetic alone | share of the "
        "card's bound |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, step in steps.items():
        for size, batch in step.get("batches", {}).items() if "multiply_adds" in step else ():
            cells = [int(size) / batch[f"{kind}_s"] for kind in ("ours", "plain", "bound", "arithmetic")]
            share = batch["least_s"] / batch["arithmetic_s"]
            lines.append(f"| {name} | {size} | {' | '.join(f'{cell:,.0f}' for cell in cells)} | {share:.0%} |")
    lines += ["", *_alternating(steps), *_options(steps)]
    return lines


def _alternating(steps: Steps) -> Iterator[str]:
    for name, step in steps.items():
        if "ratio" in step:
            yield f"- {name}: batch sizes by turns take {step['ratio']:.2f} times as long as each by itself"


def _options(steps: Steps) -> Iterator[str]:
    """Milliseconds a batch by option, and of a batch size's first run."""
    rows = {name: step for name, step in steps.items() if "load_s" in step}
    if not rows:
        return
    sizes = list(next(iter(rows.values()))["batches"])
    yield ""
    yield f"| model, option | {' | '.join(f'batch {size}: ms (first)' for size in sizes)} |"
    yield "|---|" + "---:|" * len(sizes)
    for name, step in rows.items():
        cells = [f"{1e3 * batch['s']:.2f} ({1e3 * batch['first_s']:,.0f})" for batch in step["batches"].values()]
        yield f"| {name} | {' | '.join(cells)} |"


def _served(steps: Steps) -> list[str]:
    lines = [
        "| what | connections | requests/s | p50, ms | p99, ms | other statuses | lost | GPU busy | server CPU, ms |",
        "|---|---:|---:|---:|---:|---|---:|---:|---:|",
    ]
    for name, step in steps.items():
        for count, load in step.get("connections", {}).items():
            other = ", ".join(f"{n} x {status}" for status, n in load["statuses"].items() if status != "200")
            busy = "" if load["gpu_busy"] is None else f"{load['gpu_busy']:.0%}"
            cpu = "" if load["server_cpu_ms"] is None else f"{load['server_cpu_ms']:.2f}"
            figures = f"{load['rate']:,.0f} | {load['p50_ms']:.1f} | {load['p99_ms']:.1f}"
            lines.append(f"| {name} | {count} | {figures} | {other} | {load['lost']} | {busy} | {cpu} |")
    return lines


def _plain(steps: Steps) -> list[str]:
    """What is few: as it was kept."""
    return [f"- {name}: {_short(step)}" for name, step in steps.items()]


def _short(step: dict[str, Any]) -> str:
    return "; ".join(f"{name} {_figure(value)}" for name, value in step.items())


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_figure(inner)}" for name, inner in value.items())
    if isinstance(value, list) and len(value) > 12:
        return f"{_figure(value[0])} ... {_figure(value[-1])} ({len(value)} in all)"
    return ", ".join(map(_figure, value)) if isinstance(value, list) else str(value)


def draw_plots(found: Found) -> dict[str, str]:
    """SVG documents by file name: piece c a precision, piece d a form."""
    plots = {}
    sweeps = {name: step for name, step in found.get("c", {}).items() if "multiply_adds" in step}
    for precision in sorted({step["precision"] for step in sweeps.values()}):
        lines: Lines = {
            name: {int(size): int(size) / batch["ours_s"] for size, batch in step["batches"].items()}
            for name, step in sweeps.items()
            if step["precision"] == precision
        }
        plots[f"c-{precision}.svg"] = draw_lines(f"images a second in process, {precision}", "rows in a batch", lines)
    for form in ("image", "tensor"):
        lines = {
            name.removesuffix(f", {form}"): {int(n): load["rate"] for n, load in step["connections"].items()}
            for name, step in found.get("d", {}).items()
            if name.endswith(f", {form}") and "connections" in step
        }
        if lines:
            plots[f"d-{form}.svg"] = draw_lines(f"requests a second over HTTP, {form}s", "connections", lines)
    return plots
