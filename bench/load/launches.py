"""How the service and each peer is started with one model, and the image that is posted to all of them."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from app.machine import count_cores
from artifact.images.formats import MEDIA_TYPES
from bench.load.limit import find_top1
from bench.load.models import LoadModel, Published, repository_of
from bench.load.peers import PEERS, sent_as
from bench.load.peers.environment import make_environment
from bench.load.peers.topk import append_topk
from bench.load.servers import OURS, Launch, our_command, peer_task
from bench.load.shot import Shot

SCRIPTS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
# The first of a model's images are looked at for the one to post.
_CANDIDATES = 24


def choose_image(published: Published, candidates: list[Path]) -> tuple[Path, str]:
    """The image with the clearest answer, and its label. Peers whose decoded or resized pixels differ by a level must
    still give the same label.
    """
    candidates = candidates[:_CANDIDATES]
    found = find_top1(published, [path.read_bytes() for path in candidates])
    label, lead = max(found, key=lambda answer: answer[1])
    return candidates[found.index((label, lead))], label


def our_launch(model: LoadModel, image: Path, label: str, folder: Path) -> Launch:
    """The service, answering raw bodies."""
    return Launch(
        OURS,
        our_command(repository_of(model.name, folder).resolve()),
        Shot(f"/predict/{model.name}", image.resolve(), MEDIA_TYPES[image.suffix]),
        label,
        f"convserve=={version('convserve')}",
        (folder / "work" / model.name / OURS).resolve(),
        cwd=ROOT,
        ready_path="/health/ready",
    )


def peer_launch(name: str, published: Published, image: Path, label: str, folder: Path) -> Launch:
    """A peer of PEERS, its environment made on demand. Raises EnvironmentFailed."""
    peer = PEERS[name]
    programs = make_environment(folder / "venvs" / (peer.environment or name), peer.requirements).resolve()
    work = (folder / "work" / published.card.name / name).resolve()
    work.mkdir(parents=True, exist_ok=True)
    body, content_type = sent_as(peer.form, image.read_bytes(), MEDIA_TYPES[image.suffix])
    (work / "body").write_bytes(body)
    (work / "labels.json").write_text(json.dumps(published.card.labels), encoding="utf-8")
    topk = work / "topk.onnx"
    if peer.topk:
        append_topk(published.model_file, topk)
    policy = published.card.image

    def variables(port: int) -> dict[str, str]:
        task = peer_task(
            model=str(published.model_file.resolve()),
            topk_model=str(topk),
            labels_file=str(work / "labels.json"),
            height=policy.height,
            width=policy.width,
            channels=policy.channels,
            fit=policy.fit,
            crop_fraction=policy.crop_fraction,
            reduced=policy.reduced_decode,
            port=port,
            cores=count_cores(),
            tuned=peer.tuned,
        )
        filled = {key: value.format(port=port) for key, value in peer.variables.items()}
        # Frameworks that start processes of their own look for the script's neighbors and for their programs.
        return {**task, **filled, "PYTHONPATH": str(SCRIPTS), "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"}

    def command(port: int) -> list[str]:
        words = {"python": programs / "python", "bin": programs, "scripts": SCRIPTS, "work": work, "port": port}
        return [word.format(**words) for word in peer.command]

    return Launch(
        name,
        command,
        Shot(peer.path, work / "body", content_type),
        label,
        peer.requirements[0],
        work,
        variables=variables,
        prepare=lambda port: peer.prepare(work, port) if peer.prepare else None,
        freezes=peer.freezes,
    )
