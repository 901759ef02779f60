#!/usr/bin/env bash
# Trains and evaluates the four modes, on one GPU or two:
#   run_all.sh CORPUS OUT [train.py options]
# nosa and dma, and full and infllm_v2, share the stages that attend all blocks. What is there already is not made again, and
# a training that was cut goes on, so the script can be run again after any interruption; --minutes 8 among the options ends
# each training after that time. PYTHON names another interpreter. The logs lie in OUT.
set -euo pipefail

usage="usage: run_all.sh CORPUS OUT [train.py options]"
here=$(dirname "$(realpath "$0")")
data=${1:?$usage}
out=${2:?$usage}
shift 2
options=("$@")
python=${PYTHON:-python3}
gpus=$("$python" -c 'import torch; print(max(1, torch.cuda.device_count()))')
mkdir -p "$out"

questions() { # a folder appears once it is complete
  [ -d "$out/questions" ] && return
  "$python" "$here/data.py" "$data" "$out/questions.part" && mv "$out/questions.part" "$out/questions"
}

train() { # mode, options of its own
  [ -d "$out/$1/model" ] && return
  "$python" "$here/train.py" --mode "$1" --data "$data" --out "$out/$1" --resume "${options[@]}" "${@:2}"
}

evaluate() { # mode
  [ -d "$out/$1/model" ] && [ ! -f "$out/$1/evaluation/result.json" ] || return 0
  while kill -0 "$questions_pid" 2>/dev/null; do sleep 1; done
  "$python" "$here/evaluate.py" "$out/$1/model" --data "$data" --questions "$out/questions" --out "$out/$1/evaluation"
}

logged() { # mode, command
  "${@:2}" 2>&1 | tee -a "$out/$1.log" | sed -u "s/^/$1: /"
}

pair() { # two modes, GPU
  export CUDA_VISIBLE_DEVICES=$3
  logged "$1" train "$1"
  logged "$1" evaluate "$1" &
  if [ -f "$out/$1/stage-2.pt" ]; then
    logged "$2" train "$2" --init "$out/$1/stage-2.pt"
    logged "$2" evaluate "$2"
  fi
  wait
}

questions &
questions_pid=$!
pair nosa dma 0 &
pair full infllm_v2 $((gpus > 1)) &
wait
