#!/usr/bin/env bash
# Trains and evaluates the four modes at once, one process a mode, spread over the GPUs that are there:
#   run_all.sh CORPUS OUT [MINUTES] [train.py options]
# A mode that has trained MINUTES stops with its state saved; running the script again goes on. MODES="nosa full" takes
# these modes alone, PYTHON another interpreter. The logs lie in OUT.
set -euo pipefail

usage="usage: run_all.sh CORPUS OUT [MINUTES] [train.py options]"
here=$(dirname "$(realpath "$0")")
data=${1:?$usage}
out=${2:?$usage}
minutes=${3:-8}
shift $(($# < 3 ? $# : 3))
python=${PYTHON:-python3}
gpus=$("$python" -c 'import torch; print(max(1, torch.cuda.device_count()))')
mkdir -p "$out"

questions() { # a folder appears once it is complete
  [ -d "$out/questions" ] && return
  "$python" "$here/data.py" "$data" "$out/questions.part" && mv "$out/questions.part" "$out/questions"
}

one_mode() { # mode, gpu, options of train.py
  local folder=$out/$1
  export CUDA_VISIBLE_DEVICES=$2
  if [ ! -d "$folder/model" ]; then
    "$python" "$here/train.py" --mode "$1" --data "$data" --out "$folder" --resume --minutes "$minutes" "${@:3}"
  fi
  if [ -d "$folder/model" ]; then
    while kill -0 "$questions_pid" 2>/dev/null; do sleep 1; done
    "$python" "$here/evaluate.py" "$folder/model" --data "$data" --questions "$out/questions" --out "$folder/evaluation"
  fi
}

questions &
questions_pid=$!
number=0
for mode in ${MODES:-nosa full infllm_v2 dma}; do
  (one_mode "$mode" $((number % gpus)) "$@" 2>&1 | tee -a "$out/$mode.log" | sed -u "s/^/$mode: /") &
  number=$((number + 1))
done
wait
