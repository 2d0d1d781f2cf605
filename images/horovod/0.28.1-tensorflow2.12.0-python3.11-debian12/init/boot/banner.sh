#!/bin/bash
# What this container may use, for people who log in.
set -u

first() { cat "$@" 2> /dev/null | head -n 1; }

# The CPUs that the container may use: the cgroup's quota (version 2, then 1), else what
# the scheduler allows.
cpus() {
    local quota period
    read -r quota period < <(first /sys/fs/cgroup/cpu.max) || {
        quota=$(first /sys/fs/cgroup/cpu/cpu.cfs_quota_us)
        period=$(first /sys/fs/cgroup/cpu/cpu.cfs_period_us)
    }
    if [[ $quota =~ ^[0-9]+$ && $period =~ ^[1-9][0-9]*$ ]]; then
        awk -v q="$quota" -v p="$period" 'BEGIN { printf "%g", q / p }'
    else
        nproc
    fi
}

gib() { awk -v b="$1" 'BEGIN { printf "%.1f GiB", b / 2^30 }'; }

# Memory in use and the limit; a limit above what the machine has is none.
memory() {
    local limit used total
    total=$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)
    limit=$(first /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes)
    used=$(first /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory/memory.usage_in_bytes)
    if [[ ! $limit =~ ^[0-9]+$ || ${#limit} -gt ${#total} || $limit -gt $total ]]; then
        limit=$total
    fi
    echo "$(gib "$limit"), in use: $(gib "${used:-0}")"
}

gpus() {
    command -v nvidia-smi > /dev/null || { echo "none"; return; }
    nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2> /dev/null |
        sort | uniq -c | awk '{ n = $1; $1 = ""; printf "%s%d x%s", s, n, $0; s = "; " }'
}

row() { printf '  %-10s %s\n' "$1" "$2"; }

printf '\n'
row System "$(. /etc/os-release && echo "$PRETTY_NAME")"
row Python "$(python --version 2>&1 | cut -d' ' -f2) in $(command -v python)"
row CPU "$(cpus) cores"
row Memory "$(memory)"
row GPU "$(gpus)"
row Disk "$(df -h / | awk 'NR == 2 { print $4 " free of " $2 }') on /"
row Time "$(date '+%Y-%m-%d %H:%M:%S %Z')"
printf '\n'
