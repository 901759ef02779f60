#!/usr/bin/env bash
#
# Scaling over the GPUs of this host: `nosa generate` on a Spark standalone cluster with one executor per GPU, for several
# numbers of executors, over generated documents. Prints a JSON line a run: its wall time, and rates over the time from the start of
# the last engine to the last commit.
#
#   bench/scale.sh [options] [-- options of nosa generate]
#
#   --model DIR         checkpoint (default: sample-data/model)
#   --config FILE       random weights of this config.json's shape, such as bench/nosa-8b.json, with the model's tokenizer
#   --executors LIST    numbers of executors, with commas between (default: 1,2)
#   --documents N       documents of one executor (default: 16)
#   --work KIND         growing: so many for each executor; fixed: the same for all runs (default: growing)
#   --tokens N          of each prompt (default: 16384)
#   --new-tokens N      of each answer (default: 64)
#   --cores N           of each executor, whose tasks share its engine (default: 4)
#   --heap SIZE         Java heap of each executor, in g (default: 8g)
#   --host-kv SIZE      pinned memory of each executor (default: with a GPU its share of what is free beside the heaps)
#   --discovery SCRIPT  prints this host's GPUs (default: conf/find-gpus.sh)
#   --kill-after SEC    kills an executor so long after tasks began to generate; the others do its documents again
#   --folder DIR        logs and outputs, which stay there (default: a new folder in /tmp)
#   --json FILE         adds the lines there
#
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
model=$root/sample-data/model config='' executors=1,2 documents=16 work=growing tokens=16384 new_tokens=64 cores=4 heap=8g
discovery=$root/conf/find-gpus.sh host_kv='' kill_after='' folder='' json=/dev/null
command="bench/scale.sh $*"
fail() {
  echo "scale: error: $*" >&2
  exit 2
}
while [[ $# -gt 0 && $1 != -- ]]; do
  [[ $# -ge 2 ]] || fail "a value is missing ($1)"
  case $1 in
    --model | --config | --executors | --documents | --work | --tokens | --new-tokens | --cores | --heap | --host-kv | --discovery | \
      --kill-after | --folder | --json)
      name=${1#--}
      printf -v "${name//-/_}" '%s' "$2"
      shift 2
      ;;
    *) fail "unknown option '$1'" ;;
  esac
done
[[ ${1:-} != -- ]] || shift
[[ $work == growing || $work == fixed ]] || fail "unknown work '$work'; known: growing, fixed (--work)"
for number in "$documents" "$tokens" "$new_tokens" "$cores" ${executors//,/ } ${kill_after:-1}; do
  [[ $number =~ ^[1-9][0-9]*$ ]] || fail "'$number' is no number from 1 on"
done
[[ $heap =~ ^[0-9]+g$ ]] || fail "'$heap' is no number of gibibytes such as 8g (--heap)"
[[ -f $model/tokenizer.json ]] || fail "no $model/tokenizer.json (--model)"
[[ -z $config || -f $config ]] || fail "no $config (--config)"
folder=${folder:-$(mktemp -d)}
mkdir -p "$folder"
model_options=(--model "$model")
if [[ -n $config ]]; then
  mkdir -p "$folder/model"
  cp "$model"/tokenizer*.json "$folder/model/"
  cp "$config" "$folder/model/config.json"
  model_options=(--model "$folder/model" --load-format dummy)
fi

spark=${SPARK_HOME:-$root/job/target/spark}
export SPARK_SCALA_VERSION=2.13 SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
unset SPARK_CONF_DIR MASTER LOG4J_CONFIGURATION_FILE
children=()
stop_cluster() {
  [[ ${#children[@]} -eq 0 ]] || kill "${children[@]}" 2>/dev/null || true
  wait
  children=()
}
trap stop_cluster EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# N documents of words, each with more tokens than are asked for.
write_documents() {
  awk -v n="$1" -v words="$tokens" 'BEGIN {
    count = split("time people water words great little world still place years found house light under never night", word, " ")
    srand(1)
    for (d = 0; d < n; d++) {
      printf "{\"id\": \"d%05d\", \"text\": \"%d", d, d
      for (i = 0; i < words; i++) printf " %s", word[1 + int(rand() * count)]
      print "\"}"
    }
  }'
}

# Waits for a pattern in a file that something still writes to.
await() {
  local deadline=$((SECONDS + 120))
  until grep -qs "$1" "$2"; do
    [[ $SECONDS -lt $deadline ]] || fail "no '$1' in $2 after two minutes"
    sleep 0.2
  done
}

daemon() {
  local name=$1
  shift
  SPARK_HOME=$spark "$java" -Xmx512m --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \
    --add-opens=java.base/java.lang=ALL-UNNAMED -cp "$spark/jars/*" "$@" >"$run/$name.log" 2>&1 &
  children+=($!)
}

# The worker serves what its executors have shuffled, so that nothing of it is lost with one of them.
start_cluster() {
  local n=$1
  shuffle_port=$((20000 + RANDOM % 10000))
  daemon master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port 0 --webui-port 0
  await 'Starting Spark master at' "$run/master.log"
  master=$(grep -o 'spark://[0-9.:]*' "$run/master.log" | head -1)
  daemon worker "-Dspark.worker.resource.gpu.amount=$n" "-Dspark.worker.resource.gpu.discoveryScript=$discovery" \
    -Dspark.shuffle.service.enabled=true "-Dspark.shuffle.service.port=$shuffle_port" -Dspark.shuffle.service.db.enabled=false \
    org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --cores $((n * cores)) --memory $((n * ${heap%g} + n))g \
    --work-dir "$run/executors" --webui-port 0 "$master"
  await 'Successfully registered with master' "$run/worker.log"
}

engines() { cat "$run"/executors/app-*/*/stderr 2>/dev/null | grep 'Engine of this JVM' || true; }

# Kills an executor some seconds after tasks have begun to generate, and leaves its process's number.
kill_one() {
  local victim
  until compgen -G "$run/output*/wave=*/_temporary/*/_temporary/*/part-*" >/dev/null && [[ -n $(engines) ]]; do sleep 0.2; done
  sleep "$kill_after"
  victim=$(engines | grep -o '(process [0-9]*' | grep -o '[0-9]*' | head -1)
  kill -9 "$victim" && echo "$victim" >"$run/killed"
}

# What this machine or the container has left, in GiB.
free_memory() {
  local free limit used
  free=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
  used=$(cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes 2>/dev/null || echo 0)
  awk -v free="$free" -v limit="$limit" -v used="$used" 'BEGIN {
    left = limit == "max" ? free : int((limit - used) / 2 ^ 30)
    print left < free ? left : free
  }'
}

# Of one of n executors, where there are GPUs: its share of what is free beside heaps and a little for everything else.
set_host_kv_options() {
  local n=$1 share
  host_kv_options=()
  if [[ -n $host_kv ]]; then
    host_kv_options=(--host-kv "$host_kv")
  elif command -v nvidia-smi >/dev/null; then
    share=$((($(free_memory) - 8) / n - ${heap%g} - 4))
    [[ $share -ge 1 ]] || fail "no memory is left for the KV cache of $n executors; take a smaller --heap, or --host-kv"
    host_kv_options=(--host-kv "${share}g")
  fi
}

# GPU and link of this host, twice a second, while the engines run.
watch_gpus() {
  command -v nvidia-smi >/dev/null || return 0
  nvidia-smi --query-gpu=timestamp,index,utilization.gpu,memory.used --format=csv,noheader,nounits -lms 500 >"$run/gpus.csv" &
  children+=($!)
  nvidia-smi dmon -s t -d 1 -o T >"$run/link.txt" &
  children+=($!)
}

# The largest memory of each engine's process, pinned memory among it: a file of bytes for each, renewed every second.
watch_processes() {
  while sleep 1; do
    for process in $(engines | sed -n 's/.*(process \([0-9]*\)).*/\1/p'); do
      awk '/^VmHWM/ { print $2 * 1024 }' "/proc/$process/status" >"$run/process-$process.new" 2>/dev/null &&
        mv "$run/process-$process.new" "$run/process-$process" || true
    done
  done &
  children+=($!)
}

# The job on n executors.
run_job() {
  local n=$1 count=$2
  shift 2
  run=$folder/$work-$n
  rm -rf "$run"
  mkdir -p "$run"
  write_documents "$count" >"$run/documents.jsonl"
  start_cluster "$n"
  watch_gpus
  watch_processes
  if [[ -n $kill_after ]]; then
    kill_one >/dev/null &
    children+=($!)
  fi
  set_host_kv_options "$n"
  "$root/bin/nosa" generate --master "$master" --driver-memory 2g --executor-memory "$heap" \
    --executor-cores "$cores" --total-executor-cores $((n * cores)) \
    --conf spark.executor.resource.gpu.amount=1 \
    --conf "spark.task.resource.gpu.amount=$(awk "BEGIN { printf \"%.6f\", int(1e6 / $cores) / 1e6 }")" \
    --conf spark.scheduler.minRegisteredResourcesRatio=1.0 --conf spark.scheduler.maxRegisteredResourcesWaitingTime=120s \
    --conf spark.shuffle.service.enabled=true --conf "spark.shuffle.service.port=$shuffle_port" \
    --conf spark.shuffle.service.fetch.rdd.enabled=true \
    --conf spark.executorEnv.CUDA_DEVICE_ORDER=PCI_BUS_ID --conf spark.task.maxFailures=8 \
    --conf "spark.executorEnv.LOG4J_CONFIGURATION_FILE=$root/conf/log4j2.properties" \
    "${model_options[@]}" "${host_kv_options[@]}" --input "$run/documents.jsonl" --output "$run/output" \
    --prompt '{text}' \
    --max-context $((tokens + new_tokens)) --on-too-long truncate-middle --max-new-tokens "$new_tokens" \
    "$@" >"$run/job.out" 2>"$run/job.err" &
  children+=($!)
  wait $! || fail "the job failed: $run/job.err"
  [[ -z $kill_after || -f $run/killed ]] || fail "the job ended before an executor was killed; give it more documents"
  stop_cluster
  report "$n" "$count"
}

# The times called $1 in part $2 of the run's report, the earliest first.
times_of() {
  sed -n "/^  \"$2\" : /,/^  []} ]*,\$/ s/^ *\"$1\" : \"\(.*\)\".*/\1/p" "$run/output/_nosa/report.json" | sort
}

# Mean of column $2 for each GPU of column $1 in file $3 over the time (column $4) from $from to $to: a JSON object.
mean_while_running() {
  [[ -s $3 ]] || {
    echo null
    return
  }
  awk -F '[ ,]+' -v gpu="$1" -v value="$2" -v time="$4" -v from="$(date -d "$from" +%T)" -v to="$(date -d "$to" +%T)" '
    { sub(/^ +/, "") }
    $time >= from && $time <= to && $gpu ~ /^[0-9]+$/ { sum[$gpu] += $value; n[$gpu]++ }
    END {
      text = ""
      for (g in n) text = text (text == "" ? "" : ", ") sprintf("\"%s\": %.1f", g, sum[g] / n[g])
      print text == "" ? "null" : "{" text "}"
    }' "$3"
}

# What the run has written of itself, and what was seen beside it. An engine that was killed in its first tasks has left no report.
report() {
  local n=$1 count=$2 documents_and_errors prompt output from to started gpus pinned resident killed=null left=$1
  documents_and_errors=$(sed -n 's/^documents *\([0-9]*\): .* \([0-9]*\) errors$/\1 \2/p' "$run/job.out")
  [[ $documents_and_errors == "$count 0" ]] ||
    fail "of $count documents, written and in error are: $documents_and_errors ($run/job.out)"
  read -r prompt output < <(sed -n 's/^tokens *\([0-9]*\) prompt, \([0-9]*\) output$/\1 \2/p' "$run/job.out")
  [[ ! -f $run/killed ]] || killed=$(<"$run/killed") left=$((n > 1 ? n - 1 : 1))
  from=$(times_of started executors | sed -n "${left}p")
  to=$(times_of finished run)
  started=$(engines | sed -n 's/.* started in \([0-9]*\) ms.*/\1/p' | sort -n | tail -1)
  [[ -n $from && -n $to && -n $started ]] || fail "no times in $run/output/_nosa/report.json, or no engine in $run/executors"
  gpus=$(engines | sed -n 's/.* device=\([0-9]*\),.*/\1/p' | sort -n | paste -sd, -)
  pinned=$(cat "$run"/executors/app-*/*/stderr | sed -n 's/.*Pinned \([0-9.]* [A-Za-z]*\) of host memory in .*/"\1"/p' | sort -u | paste -sd, -)
  resident=$(sed -n p "$run"/process-*[0-9] 2>/dev/null | awk '{ printf "%s%.1f", (NR > 1 ? ", " : ""), $1 / 2 ^ 30 }')
  {
    printf '{"what": "scale", "work": "%s", "executors": %d, "engines": %d, "gpus": [%s], ' \
      "$work" "$n" "$(engines | wc -l)" "$gpus"
    awk -v count="$count" -v tokens="$((prompt + output))" -v started="$started" -v begin="$(date -d "$(times_of created run)" +%s.%N)" \
      -v from="$(date -d "$from" +%s.%N)" -v to="$(date -d "$to" +%s.%N)" 'BEGIN {
      printf "\"s\": %.1f, \"start_s\": %.1f, \"from_start_s\": %.1f, \"documents_per_s\": %.3f, \"tokens_per_s\": %.0f, ",
        to - begin, started / 1000, to - from, count / (to - from), tokens / (to - from)
    }'
    printf '"documents": %d, "prompt_tokens": %d, "output_tokens": %d, ' "$count" "$prompt" "$output"
    printf '"gpu_busy_percent": %s, "from_host_mb_per_s": %s, "pinned": [%s], ' \
      "$(mean_while_running 3 4 "$run/gpus.csv" 2)" "$(mean_while_running 2 3 "$run/link.txt" 1)" "$pinned"
    printf '"process_gib": [%s], "killed": %s, "date": "%s", "command": "%s"}\n' \
      "$resident" "$killed" "$(date +%F)" "$(sed 's/[\\"]/\\&/g' <<<"$command")"
  } | tee -a "$json"
}

for n in ${executors//,/ }; do
  count=$documents
  [[ $work == fixed ]] || count=$((documents * n))
  run_job "$n" "$count" "$@"
done
echo "logs: $folder" >&2
