#!/bin/bash
# Asks the advisory database of the package index about every pinned package. Exit code 1 if one has
# a known vulnerability; without a network nothing can be asked, which is said and is no failure.
set -eu
cd "$(dirname "$0")/.."
tool=.venv/audit answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
if ! cmp -s requirements/audit.txt "$tool/installed.txt"; then
  if ! { .venv/bin/python -m venv --clear "$tool" && PIP_DISABLE_PIP_VERSION_CHECK=1 \
      "$tool/bin/python" -m pip install -q --retries 1 --timeout 10 -r requirements/audit.txt; }
  then
    echo 'audit: not done, since pip-audit cannot be installed: is there a network?' >&2
    exit 0
  fi
  cp requirements/audit.txt "$tool/installed.txt"
fi
"$tool/bin/python" -m pip_audit --disable-pip --progress-spinner off --timeout 10 -f json \
  -o "$answer" -r requirements/ros.txt -r requirements/build.txt -r requirements/demo.txt \
  -r requirements/test.txt 2> "$tool/said.txt" || true
"$tool/bin/python" - "$answer" "$tool/said.txt" <<'PYTHON'
import json
import sys

try:
    found = json.load(open(sys.argv[1]))['dependencies']
except ValueError:
    last = (open(sys.argv[2]).read().strip().splitlines() or ['nothing'])[-1]
    sys.exit(print(f'audit: not done, since the advisories cannot be asked for: {last[:200]}'))
asked = [one for one in found if 'vulns' in one]
bad = [(one['name'], one['version'], fault) for one in asked for fault in one['vulns']]
for name, version, fault in bad:
    print(f'{name} {version}: {fault["id"]}, mended in {fault["fix_versions"] or "no version"}')
if not asked:
    sys.exit(print('audit: not done, since the package index here has no advisories'))
print(f'audit: {len(bad)} known vulnerabilities in {len(asked)} packages; the index has no '
      f'advisories for {len(found) - len(asked)} others')
sys.exit(bool(bad))
PYTHON
