#!/usr/bin/env bash
# Trains and evaluates the four modes at once, one process a mode, spread over the GPUs that are there:
# run_all.sh CORPUS OUT [MINUTES] [train.py options]. Running it again goes on with what OUT holds. The logs lie in OUT.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
data=${1:?usage: run_all.sh CORPUS OUT [MINUTES] [train.py options]}
out=${2:?usage: run_all.sh CORPUS OUT [MINUTES] [train.py options]}
minutes=${3:-8}
shift $(($# < 3 ? $# : 3))
gpus=$(python3 -c 'import torch; print(max(1, torch.cuda.device_count()))')
mkdir -p "$out"

[ -e "$out/questions/questions-16384.jsonl" ] || python3 "$here/data.py" "$data" "$out/questions" &

one_mode() { # mode, gpu
  export CUDA_VISIBLE_DEVICES=$2
  if [ ! -e "$out/$1/model/config.json" ]; then
    python3 "$here/train.py" --mode "$1" --data "$data" --out "$out/$1" --resume --minutes "$minutes" "${@:3}"
  fi
  if [ -e "$out/$1/model/config.json" ]; then
    until [ -e "$out/questions/questions-16384.jsonl" ]; do sleep 1; done
    python3 "$here/evaluate.py" "$out/$1/model" --data "$data" --questions "$out/questions" --out "$out/$1/evaluation"
  fi
}

number=0
for mode in ${MODES:-nosa full infllm_v2 dma}; do
  one_mode "$mode" $((number % gpus)) "$@" > >(tee -a "$out/$mode.log" | sed -u "s/^/$mode: /") 2>&1 &
  number=$((number + 1))
done
wait
