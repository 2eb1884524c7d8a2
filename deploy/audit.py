"""Known vulnerabilities of every pinned version: python -m deploy.audit constraints.txt

pip-audit asks a network service. Exit status 1: there are vulnerabilities; 3: some packages couldn't be audited, which
must not look like a clean result.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def main(constraints: str) -> int:
    # --no-deps: the file is the whole closure already. --disable-pip: so nothing is resolved or downloaded.
    command = [sys.executable, "-m", "pip_audit", "--requirement", constraints, "--no-deps", "--disable-pip"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    result = subprocess.run([*command, *options], capture_output=True, text=True)
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except ValueError:
        reason = (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]
        print(f"audit: nothing was audited, the vulnerability service can't be asked: {reason}", file=sys.stderr)
        return 3
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    """Print what pip-audit found of each package, and give back the exit status."""
    asked = [package for package in packages if "skip_reason" not in package]
    found = [(package, problem) for package in asked for problem in package["vulns"]]
    for package, problem in found:
        fixed = ", ".join(problem["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package['version']}: {problem['id']}, fixed in {fixed}")
    print(f"{len(asked)} of {len(packages)} packages audited, {len(found)} known vulnerabilities")
    if len(asked) < len(packages):
        missing = [package["name"] for package in packages if "skip_reason" in package]
        print(
            f"audit: the vulnerability service reached from here knows nothing of {len(missing)} packages "
            f"({', '.join(missing[:3])}, ...): run this where it can be reached",
            file=sys.stderr,
        )
    return 1 if found else 3 if len(asked) < len(packages) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
