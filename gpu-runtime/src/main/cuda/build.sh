#!/usr/bin/env bash
# Compiles every .cu file of folders for all supported GPUs.
#   build.sh SOURCE OUT [SOURCE OUT ...]     writes OUT/NAME.fatbin and the list OUT/kernels.properties
# nvcc is $NVCC, $CUDA_HOME/bin/nvcc, the PATH's or /usr/local/cuda/bin/nvcc, in version 12 or newer. Without one only a
# warning is printed, and the list is missing. A binary that is newer than its source and all headers is kept.
set -euo pipefail
shopt -s nullglob
script=${BASH_SOURCE[0]}
processors=$(getconf _NPROCESSORS_ONLN)
architectures=(80 86 89 90a) # machine code of these; newer GPUs compile the PTX of 90
flags=(-O3 -std=c++17 --fatbin --no-compress -gencode=arch=compute_90,code=compute_90)
for architecture in "${architectures[@]}"; do
  flags+=("-gencode=arch=compute_$architecture,code=sm_$architecture")
done
nvcc=
version=

find_nvcc() {
  local candidate
  for candidate in "${NVCC:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" nvcc /usr/local/cuda/bin/nvcc; do
    if [[ -n $candidate && -z $version ]]; then
      nvcc=$candidate
      version=$({ "$nvcc" --version || true; } 2>/dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
    fi
  done
  local effect="this build has no CUDA kernels and runs on CPU only"
  if [[ -z $version ]]; then
    echo "[WARNING] nvcc not found (NVCC, CUDA_HOME, PATH, /usr/local/cuda): $effect"
    exit 0
  elif ((${version%%.*} < 12)); then
    echo "[WARNING] $nvcc is version $version, 12.0 or newer is needed: $effect"
    exit 0
  fi
}

is_stale() { # SOURCE NAME BINARY
  local input
  for input in "$1/$2.cu" "$1"/*.cuh "$script"; do
    if [[ ! -f $3 || $input -nt $3 ]]; then
      return 0
    fi
  done
  return 1
}

compile() { # SOURCE OUT NAME...
  local source=$1 out=$2 name running=0 failed=0
  shift 2
  echo "[INFO] Compiling CUDA kernels ($*) with nvcc $version for sm_${architectures[*]}"
  local threads=$(((processors + $# - 1) / $#))
  for name; do
    if ((running == processors)); then
      wait -n || failed=1
      running=$((running - 1))
    fi
    { "$nvcc" "${flags[@]}" --threads "$threads" -o "$out/$name.partial" "$source/$name.cu" &&
      mv "$out/$name.partial" "$out/$name.fatbin"; } &
    running=$((running + 1))
  done
  for (( ; running > 0; running--)); do
    wait -n || failed=1
  done
  return "$failed"
}

build() { # SOURCE OUT
  local source=$1 out=$2 list=$2/kernels.properties name file names=() stale=()
  mkdir -p "$out"
  for file in "$source"/*.cu; do
    name=$(basename "$file" .cu)
    names+=("$name")
    if is_stale "$source" "$name" "$out/$name.fatbin"; then
      stale+=("$name")
    fi
  done
  for file in "$out"/*.fatbin; do
    if [[ ! -f $source/$(basename "$file" .fatbin).cu ]]; then
      rm -f "$file" "$list"
    fi
  done
  if [[ -f $list ]] && ((${#stale[@]} == 0)); then
    return
  fi
  rm -f "$list"
  find_nvcc
  if ((${#stale[@]} > 0)) && ! compile "$source" "$out" "${stale[@]}"; then
    echo "[ERROR] nvcc failed"
    exit 1
  fi
  printf '# What lies beside this file, and its compiler\nnvcc = %s\nmodules = %s\n' "$version" "${names[*]}" >"$list"
}

while (($# >= 2)); do
  build "$1" "$2"
  shift 2
done
