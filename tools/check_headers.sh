#!/usr/bin/env bash
# Compiles every unit that sees torch, syntax only, against the headers of a torch version, with $CXX (g++).
# usage: tools/check_headers.sh [version | installed], default 2.11.0, the oldest that is meant to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-2.11.0}
python=.venv/bin/python
export CXX=${CXX:-g++}

if [ "$version" = installed ]; then
  include=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent / "include")')
else
  folder=build/headers-$version
  include=$folder/include
  if [ ! -d "$include" ]; then  # from the wheel for macOS: the smallest one, with the same headers
    mkdir -p "$folder"
    "$python" -m pip download -q --no-deps --only-binary=:all: --platform macosx_11_0_arm64 --python-version 3.11 \
      --implementation cp -d "$folder" "torch==$version"
    "$python" -m zipfile -e "$folder"/torch-*.whl "$folder/wheel"
    mv "$folder/wheel/torch/include" "$include"
    rm -rf "$folder/wheel" "$folder"/torch-*.whl
  fi
fi

openmp=-fopenmp  # clang parses it only with libomp installed: its headers bring omp.h
compiler=g++
"$CXX" --version | grep -q clang && openmp= && compiler=clang
flags=(-std=c++20 $openmp -DTORCH_EXTENSION_NAME=_C -isystem "$include" -isystem "$include/torch/csrc/api/include"
  -isystem "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')")

# What most units include, parsed once: without it, the two runs of make check-headers take 4 minutes.
common=build/headers-common-$compiler-$version
mkdir -p "$common"
cp csrc/ops/torch_headers.h "$common/common.h"
if [ $compiler = clang ]; then
  "$CXX" "${flags[@]}" -x c++-header "$common/common.h" -o "$common/common.pch"
  flags+=(-include-pch "$common/common.pch")
else
  "$CXX" "${flags[@]}" -x c++-header "$common/common.h" -o "$common/common.h.gch"
  flags+=(-include "$common/common.h")
fi
printf '%s\0' csrc/memory/*.cpp csrc/ops/*.cpp csrc/patch/*.cpp csrc/python/*.cpp |
  xargs -0 -n 1 -P "$(nproc)" "$CXX" "${flags[@]}" -fsyntax-only
echo "All units that see torch compile on the headers of torch $version with $CXX."
