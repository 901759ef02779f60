#!/usr/bin/env bash
# Spark's discovery script (spark.executor.resource.gpu.discoveryScript): the numbers of this machine's GPUs, as
# CUDA counts them where CUDA_DEVICE_ORDER is PCI_BUS_ID.
set -euo pipefail
numbers=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$numbers]}"
