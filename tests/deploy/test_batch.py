"""What many images at rest are cut into, and the folder of their answers: the pieces that need no Ray."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from artifact.errors import InputError
from artifact.stores.index import write_index
from artifact.stores.objects import open_objects
from deploy import ray_batch
from deploy.batch.blocks import Block, digest, find_blocks
from deploy.batch.output import Output, OutputError
from deploy.batch.worker import Answers, Job, Worker
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.buckets import S3StandIn
from tests.makers.stores import WebStandIn

RUN: dict[str, object] = {"model": "tiny", "version": 1, "input": "abc"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for level in range(0, 250, 50):
        (folder / f"{level:03}.png").write_bytes(gray_image(level))
    return folder


def test_blocks_hold_every_image_once_in_order(images: Path) -> None:
    blocks = find_blocks([str(images)], 2)
    assert [block.name for block in blocks] == ["images-00000000", "images-00000002", "images-00000004"]
    assert [block.rows for block in blocks] == [2, 2, 1]
    names = [Path(name).name for block in blocks for name in block.images]
    assert names == ["000.png", "050.png", "100.png", "150.png", "200.png"]


def test_another_input_and_other_blocks_have_another_digest(images: Path) -> None:
    before = digest(find_blocks([str(images)], 2))
    assert digest(find_blocks([str(images)], 2)) == before
    assert digest(find_blocks([str(images)], 3)) != before
    (images / "300.png").write_bytes(gray_image(1))
    assert digest(find_blocks([str(images)], 2)) != before


def test_what_was_written_is_there_for_the_next_run(tmp_path: Path) -> None:
    with Output(tmp_path / "out", RUN) as output:
        assert not output.has("a")
        output.write("a", b"answers")
    with Output(tmp_path / "out", RUN) as output:
        assert output.has("a")
        assert not output.has("b")
    assert (tmp_path / "out" / "a.parquet").read_bytes() == b"answers"


def test_what_a_killed_run_left_half_written_is_no_answer(tmp_path: Path) -> None:
    with Output(tmp_path, RUN) as output:
        (tmp_path / ".unfinished").write_bytes(b"half")
        assert not output.has("a")
        output.write("a", b"whole")
    assert [path.read_bytes() for path in tmp_path.glob("*.parquet")] == [b"whole"]


def test_a_folder_that_another_run_began_is_refused_with_what_differs(tmp_path: Path) -> None:
    with Output(tmp_path, RUN):
        pass
    with pytest.raises(OutputError, match=r"another version \(1, now 2\)"), Output(tmp_path, {**RUN, "version": 2}):
        pass
    assert Output.read_version(tmp_path) == 1


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"")
    with pytest.raises(OutputError, match="something else"), Output(tmp_path, RUN):
        pass
    with pytest.raises(OutputError, match="can't be written"), Output(tmp_path / "mine.parquet", RUN):
        pass


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_artifact(tmp_path / "repository")
    (tmp_path / "out").mkdir()
    with Output(tmp_path / "out", RUN) as output:
        output.write("a", b"answers")
        (tmp_path / "out/.unfinished").symlink_to("/dev/full")
        with pytest.raises(OutputError, match=r"out can't be written: No space left on device$"):
            output.write("b", b"answers")
        assert (output.has("a"), output.has("b")) == (True, False)
    (tmp_path / "out/_run.json").unlink()
    (tmp_path / "out/a.parquet").unlink()
    (tmp_path / "image.png").write_bytes(gray_image(0))
    words = ["tiny", str(tmp_path / "image.png"), "--repository", str(tmp_path / "repository")]
    assert ray_batch.main([*words, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"ray_batch: {tmp_path}/out can't be written: No space left on device\n"


@pytest.mark.parametrize("content", [b'{"model": "ti', b"\xff", b"[]", b'{"model": "tiny"}'])
def test_a_damaged_record_of_the_run_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "_run.json").write_bytes(content)
    said = r"_run\.json can't be read \(.+\): name another folder, or delete "
    with pytest.raises(OutputError, match=said):
        Output.read_version(tmp_path)
    with pytest.raises(OutputError, match=said), Output(tmp_path, RUN):
        pass


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with Output(tmp_path, RUN), pytest.raises(OutputError, match="another run is writing"), Output(tmp_path, RUN):
        pass
    with Output(tmp_path, RUN):  # once it has ended, however, the next one may
        pass


def test_a_block_that_could_not_be_read_is_left_to_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [Block("a", ("1.png",), rows=1), Block("b", ("2.png",), rows=1)]
    found = [Answers("a", b"answers", 1, 0, 10.0, 12.0), Answers("b", b"", 1, 0, 10.0, 11.0, "the disk is gone")]
    with Output(tmp_path, RUN) as output:
        assert ray_batch._fill(output, blocks, found) == 1
        assert (output.has("a"), output.has("b")) == (True, False)
    said = capsys.readouterr().err
    assert "1 images, 0 failed, 2.0 s from the first to the last, 0.5 images/s" in said
    assert "b: the disk is gone" in said
    assert "1 of 2 blocks failed: the same command tries them again" in said


def test_a_run_that_is_done_needs_no_ray_to_say_so(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_artifact(tmp_path / "repository")
    command = ["tiny", str(images), "--repository", str(tmp_path / "repository"), "--out", str(tmp_path / "out")]
    blocks = find_blocks([str(images)], 500)
    version, sha256 = ray_batch._choose_version(str(tmp_path / "repository"), "tiny", None, tmp_path / "out")
    run = {"model": "tiny", "version": version, "sha256": sha256, "top_k": None, "input": digest(blocks)}
    with Output(tmp_path / "out", run) as output:
        output.write(blocks[0].name, b"answers")
    # A newer version doesn't change what was begun.
    make_artifact(tmp_path / "repository", version=2)
    assert ray_batch.main(command) == 0
    assert "5 of 5 images are in" in capsys.readouterr().err


def test_a_run_goes_on_with_its_version_where_the_cache_is_new(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(tmp_path / "site")
    write_index(tmp_path / "site")
    web = WebStandIn(tmp_path / "site")
    try:
        monkeypatch.setenv("CONVSERVE_CACHE_DIR", str(tmp_path / "cache"))
        version, sha256 = ray_batch._choose_version(web.address, "tiny", None, tmp_path / "out")
        with Output(tmp_path / "out", {**RUN, "version": version}):
            pass
        make_artifact(tmp_path / "site", version=2)
        write_index(tmp_path / "site")
        monkeypatch.setenv("CONVSERVE_CACHE_DIR", str(tmp_path / "new"))
        assert ray_batch._choose_version(web.address, "tiny", None, tmp_path / "out") == (1, sha256)
        assert ray_batch._choose_version(web.address, "tiny", None, tmp_path / "other")[0] == 2
    finally:
        web.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent", "images"], "has no model 'absent'; there are: tiny"),
        (["tiny", "images", "--version", "7"], "has no tiny version 7; there are: tiny"),
        (["tiny", "nothing.csv"], "can't be read"),
    ],
)
def test_what_cannot_be_meant_so_is_one_line(
    tmp_path: Path, images: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_artifact(tmp_path / "repository")
    words[1] = str(tmp_path / words[1])
    given = [*words, "--repository", str(tmp_path / "repository"), "--out", str(tmp_path / "out")]
    assert ray_batch.main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith("ray_batch: ")
    assert error.count("\n") == 1
    assert said in error


def test_an_address_of_no_repository_is_refused_with_what_one_looks_like(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ray_batch.main(["tiny", str(tmp_path), "--repository", "hf://owner", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "'hf://owner': a repository of the hub is hf://OWNER/NAME" in capsys.readouterr().err


def test_the_help_needs_neither_ray_nor_pyarrow() -> None:
    code = "import sys; sys.modules.update(ray=None, pyarrow=None);from deploy.ray_batch import main; main(['--help'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "--block-images" in ended.stdout


@pytest.mark.parametrize(
    ("there", "cpus", "gpus", "fit"), [({"CPU": 8.0}, 2, 0.0, 4), ({"CPU": 8.0, "GPU": 1.0}, 1, 0.5, 2)]
)
def test_as_many_workers_as_fit(there: dict[str, float], cpus: int, gpus: float, fit: int) -> None:
    assert ray_batch._count_workers(there, cpus, gpus) == fit
    with pytest.raises(ray_batch.BatchError, match="the cluster has 8"):
        ray_batch._count_workers(there, 9, gpus)


def read_table(content: bytes) -> list[dict[str, object]]:
    from pyarrow import parquet

    rows: list[dict[str, object]] = parquet.read_table(io.BytesIO(content)).to_pylist()
    return rows


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    pytest.importorskip("pyarrow", reason="pyarrow isn't installed: make test-cluster has it in an environment")
    make_artifact(tmp_path / "repository")
    return Worker(Job(str(tmp_path / "repository"), "tiny", 1, 2), 1, "cpu")


def test_a_worker_answers_every_image_of_a_block(worker: Worker, images: Path) -> None:
    (images / "damaged.png").write_bytes(b"no image")
    (block,) = find_blocks([str(images)], 100)
    answers = worker.classify(block)
    assert (answers.rows, answers.failed, answers.failure) == (6, 1, "")
    rows = read_table(answers.content)
    assert [row["path"] for row in rows] == list(block.images)
    assert all(len(row["labels"]) == len(row["probabilities"]) == 2 for row in rows[:5])  # type: ignore[arg-type]
    assert rows[0]["labels"][0] == "black"  # type: ignore[index]
    assert rows[0]["error"] is None
    assert rows[5]["labels"] is None
    assert "not an image" in str(rows[5]["error"])
    worker.close()


def test_a_table_holds_images_or_names_them(worker: Worker, images: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    white = gray_image(255)
    stored = [
        {"bytes": white, "path": "w.png"},
        {"bytes": None, "path": "images/000.png"},
        {"bytes": None, "path": None},
    ]
    parquet.write_table(pyarrow.table({"image": stored}), tmp_path / "train.parquet", row_group_size=2)
    parquet.write_table(pyarrow.table({"path": ["images/000.png"]}), tmp_path / "paths.parquet")
    blocks = find_blocks([str(tmp_path / "train.parquet"), str(tmp_path / "paths.parquet")], 100)
    assert [block.name for block in blocks] == ["train-00000000", "train-00000001", "paths-00000000"]
    first, second, third = (read_table(worker.classify(block).content) for block in blocks)
    assert [(row["path"], row["labels"][0]) for row in first] == [  # type: ignore[index]
        (f"{tmp_path}/train.parquet#0/w.png", "white"),
        (f"{tmp_path}/images/000.png", "black"),
    ]
    assert "empty" in str(second[0]["error"])
    assert second[0]["path"] == f"{tmp_path}/train.parquet#2"
    assert third[0]["path"] == f"{tmp_path}/images/000.png"
    worker.close()


def test_a_table_that_went_away_fails_its_block(worker: Worker, tmp_path: Path) -> None:
    answers = worker.classify(Block("gone", table=str(tmp_path / "gone.parquet"), rows=3))
    assert "can't be read" in answers.failure
    assert (answers.rows, answers.content) == (3, b"")
    worker.close()


def test_a_damaged_row_group_fails_its_block_alone(worker: Worker, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = tmp_path / "train.parquet"
    parquet.write_table(pyarrow.table({"image": [gray_image(255)] * 4}), table, row_group_size=2)
    blocks = find_blocks([str(table)], 100)
    content = bytearray(table.read_bytes())
    content[4:14] = b"\xff" * 10  # the header of the first group's first page
    table.write_bytes(content)
    damaged, whole = (worker.classify(block) for block in blocks)
    assert damaged.failure.startswith(f"the rows of {table} can't be read: ")
    assert "\n" not in damaged.failure
    assert (whole.rows, whole.failed, whole.failure) == (2, 0, "")
    assert "can't be read" in worker.classify(blocks[1]._replace(group=2)).failure  # it has become shorter
    worker.close()


def test_a_table_that_a_bucket_does_not_give_fails_its_block(
    worker: Worker, s3: S3StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_objects.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    s3.make_bucket("tables")
    absent = worker.classify(Block("gone", table="s3://tables/gone.parquet", rows=3))
    assert absent.failure == "s3://tables/gone.parquet can't be read: not in the store"
    assert "does not exist" in worker.classify(Block("gone", table="s3://nowhere/a.parquet", rows=3)).failure
    worker.close()


def test_a_table_without_images_names_its_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow isn't installed: make test-cluster has it")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has the columns text"):
        find_blocks([str(tmp_path / "a.parquet")], 10)
    (tmp_path / "b.parquet").write_bytes(json.dumps({}).encode())
    with pytest.raises(InputError, match=r"b\.parquet isn't Parquet"):
        find_blocks([str(tmp_path / "b.parquet")], 10)
