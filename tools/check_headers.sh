#!/usr/bin/env bash
# Compiles every unit of csrc/ops and csrc/python, syntax only, against the headers of another torch version.
# usage: tools/check_headers.sh [version], default 2.11.0. The wheel for macOS is the smallest with the same headers.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-2.11.0}
folder=build/headers-$version
python=.venv/bin/python

if [ ! -d "$folder/torch/include" ]; then
  mkdir -p "$folder"
  "$python" -m pip download -q --no-deps --only-binary=:all: --platform macosx_11_0_arm64 --python-version 3.11 \
    --implementation cp -d "$folder" "torch==$version"
  "$python" -m zipfile -e "$folder"/torch-*.whl "$folder/wheel"
  mkdir -p "$folder/torch"
  mv "$folder/wheel/torch/include" "$folder/torch/include"
  rm -rf "$folder/wheel" "$folder"/torch-*.whl
fi

include=$folder/torch/include
python_include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
check() {
  "${CXX:-g++}" -std=c++20 -fsyntax-only -fopenmp -DTORCH_EXTENSION_NAME=_C \
    -isystem "$include" -isystem "$include/torch/csrc/api/include" -isystem "$python_include" "$1"
}
export -f check
export include python_include
printf '%s\0' csrc/ops/*.cpp csrc/python/*.cpp | xargs -0 -P "$(nproc)" -I{} bash -ec 'check {}'
echo "All units of csrc/ops and csrc/python compile on the headers of torch $version."
