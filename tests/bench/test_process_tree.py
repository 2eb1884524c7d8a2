import os
import subprocess
import sys
import time
from pathlib import Path

from bench.load.process_tree import cpu_seconds, memory_mb, parse_stat, read_tree

TICKS = os.sysconf("SC_CLK_TCK")


def write_stat(proc: Path, pid: int, parent: int, session: int, ticks: int, rss: int, pss: int) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    tail = f"S {parent} 1 {session} 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 0"
    (folder / "stat").write_text(f"{pid} (a (strange) name) {tail}\n")
    (folder / "smaps_rollup").write_text(f"0-1 ---p 0 0 0 [rollup]\nRss: {rss} kB\nPss: {pss} kB\nPss_Anon: 1 kB\n")


def test_a_name_with_parentheses_doesn_t_shift_the_fields() -> None:
    stat = parse_stat(f"7 (x) (y)) S 3 5 6 0 -1 0 0 0 0 0 {TICKS} {2 * TICKS} 0 {TICKS} 20 0")
    assert (stat.pid, stat.parent, stat.session, stat.cpu_s) == (7, 3, 6, 4.0)


def test_a_tree_holds_children_of_children_and_orphans_of_its_session(tmp_path: Path) -> None:
    for pid, parent, session in ((10, 1, 10), (11, 10, 10), (12, 11, 12), (13, 1, 10), (14, 1, 14), (15, 14, 14)):
        write_stat(tmp_path, pid, parent, session, ticks=TICKS, rss=2048, pss=1024)
    assert [stat.pid for stat in read_tree(10, tmp_path)] == [10, 11, 12, 13]
    assert cpu_seconds(10, tmp_path) == 4.0
    assert memory_mb(10, tmp_path) == (4.0, 2.0)


def test_cpu_and_memory_of_a_real_process_and_its_child() -> None:
    spin = "import os, time\nwhile time.process_time() < 0.2: pass\nprint('done', flush=True)\ntime.sleep(60)"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {spin!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        tree = read_tree(process.pid)
        assert len(tree) == 2
        assert cpu_seconds(process.pid) >= 0.2
        whole, largest = memory_mb(process.pid)
        assert 1 < largest < 200
        assert whole > 1
        for stat in tree:
            os.kill(stat.pid, 9)
    assert time.process_time() > 0
