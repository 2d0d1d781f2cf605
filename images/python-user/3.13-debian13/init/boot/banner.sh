#!/bin/bash
# What this container may use, for people who log in.
#
#   banner.sh [FOLDER]    FOLDER is where control groups are mounted, of version 2 or 1
set -u

cgroups=${1:-/sys/fs/cgroup}

first() { cat "${@/#/$cgroups/}" 2> /dev/null | head -n 1; }

# The CPUs that the container may use: the quota of its control group, but not more than the
# scheduler allows.
cpus() {
    local quota period
    read -r quota period < <(first cpu.max) || {
        quota=$(first cpu/cpu.cfs_quota_us cpu,cpuacct/cpu.cfs_quota_us)
        period=$(first cpu/cpu.cfs_period_us cpu,cpuacct/cpu.cfs_period_us)
    }
    awk -v q="$quota" -v p="$period" -v n="$(nproc)" \
        'BEGIN { c = (q ~ /^[0-9]+$/ && p > 0) ? q / p : n; printf "%g", c < n ? c : n }'
}

gib() { awk -v b="$1" 'BEGIN { printf "%.1f GiB", b / 2^30 }'; }

# Memory in use, without what is only cached, and the limit; a limit above what the machine has is none.
memory() {
    local limit used total cached
    total=$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)
    limit=$(first memory.max memory/memory.limit_in_bytes)
    used=$(first memory.current memory/memory.usage_in_bytes)
    cached=$(cat "$cgroups"/memory.stat "$cgroups"/memory/memory.stat 2> /dev/null |
        awk '$1 == "total_inactive_file" || $1 == "inactive_file" { b = $2 } END { printf "%.0f", b }')
    if [[ ! $limit =~ ^[0-9]+$ || ${#limit} -gt ${#total} || $limit -gt $total ]]; then
        limit=$total
    fi
    echo "$(gib "$limit"), in use: $(gib $((${used:-0} > cached ? ${used:-0} - cached : 0)))"
}

gpus() {
    local found
    command -v nvidia-smi > /dev/null || { echo "none"; return; }
    found=$(timeout 5 nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>&1) ||
        { echo "none: nvidia-smi says ${found%%$'\n'*}"; return; }
    sort <<< "$found" | uniq -c | awk '{ n = $1; $1 = ""; printf "%s%d x%s", s, n, $0; s = "; " }'
}

# The root, what is mounted into it (single files are not told), and the memory that processes share.
disks() {
    timeout 3 df -hP 2> /dev/null | while read -r _ size _ free _ place; do
        case $place in
            / | /dev/shm) ;;
            /proc/* | /sys/* | /dev | /dev/* | /run | /run/* | /etc/*) continue ;;
            /*) [[ -d $place ]] || continue ;;
            *) continue ;;
        esac
        row Disk "$free free of $size on $place"
    done
}

row() { printf '  %-10s %s\n' "$1" "$2"; }

printf '\n'
row System "$(. /etc/os-release && echo "$PRETTY_NAME")"
if command -v python > /dev/null; then
    row Python "$(python --version 2>&1 | cut -d' ' -f2) in $(command -v python)"
fi
row CPU "$(cpus) cores"
row Memory "$(memory)"
row GPU "$(gpus)"
disks
row Time "$(date '+%Y-%m-%d %H:%M:%S %Z')"
printf '\n'
