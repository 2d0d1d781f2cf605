# shellcheck shell=bash
# A network bridge of our own for the engine's containers.
#
# Not docker0: that name belongs to the host's engine, if it ever gets one, and two daemons that
# think they own it take it from each other. Not none either: a daemon without a bridge deletes
# docker0 when it starts.

ip_number() { # 10.1.2.3 -> an integer
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    echo $(((a << 24) + (b << 16) + (c << 8) + ${d:-0}))
}

# Do two networks (a.b.c.d/n) share an address?
overlap() {
    local bits=${1#*/} other=${2#*/} mask
    [ "$other" -ge "$bits" ] || bits=$other
    mask=$((bits == 0 ? 0 : (0xffffffff << (32 - bits)) & 0xffffffff))
    [ $(($(ip_number "${1%/*}") & mask)) = $(($(ip_number "${2%/*}") & mask)) ]
}

# A gateway address whose network nothing here has a route to.
free_gateway() {
    local candidate taken clash
    taken=$(ip -4 route show table all | awk '{ print ($1 ~ /^[0-9]/ ? $1 : $2) }' | grep '^[0-9]' || true)
    for candidate in 172.29.80.1/24 10.213.80.1/24 192.168.213.1/24 172.19.80.1/24 10.77.80.1/24 \
        172.29.81.1/24 10.213.81.1/24 192.168.214.1/24 172.19.81.1/24 10.77.81.1/24; do
        clash=
        for net in $taken; do
            case $net in */*) ;; *) net=$net/32 ;; esac
            ! overlap "$candidate" "$net" || clash=$net
        done
        if [ -z "$clash" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "engine: none of the networks tried for containers is free here" >&2
    return 1
}

# The MTU of the way out. Containers with a larger one lose big packets without a word.
uplink_mtu() {
    local device
    device=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
    awk '{ print ($1 > 1500 ? 1500 : $1) }' "/sys/class/net/${device:-lo}/mtu"
}

# Prints the file that exists while we have turned forwarding on in this network namespace: for all
# our bridges, because engines may stop in any order. A reboot forgets both.
forwarding_mark() {
    echo "/run/imagematrix-forwarding-$(readlink /proc/self/ns/net | tr -cd 0-9)"
}

# Makes sure bridge $1 exists and is up; prints its gateway.
bridge_up() {
    local name=$1 gateway
    gateway=$(ip -4 -o address show dev "$name" 2>/dev/null | awk '{ print $4; exit }')
    if [ -z "$gateway" ]; then
        gateway=$(free_gateway) || return 1
        [ -e "/sys/class/net/$name" ] || ip link add "$name" type bridge || return 1
        ip address add "$gateway" dev "$name" || return 1
    fi
    ip link set "$name" up mtu "$(uplink_mtu)" || return 1
    # If the daemon has to turn forwarding on itself, it also makes DROP the policy for the
    # whole host's forwarded traffic.
    if [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]; then
        : >"$(forwarding_mark)" || return 1
        echo 1 >/proc/sys/net/ipv4/ip_forward || return 1
    fi
    echo "$gateway"
}

# Is there a bridge whose name begins with $1? Reads to the end: where a pipe counts as failed if any of its programs
# fails, `grep -q` would leave `ip` to die of what it has still to say.
any_bridge() {
    ip -o link show type bridge | awk -v name=": $1" 'index($0, name) { found = 1 } END { exit !found }'
}

# Takes bridge $1 away with the packet filter rules that name it or its network. After the last of
# the bridges whose names begin with $2, turns forwarding off again if it was off before.
bridge_down() {
    local name=$1 ours=$2 table rule network
    [ -e "/sys/class/net/$name" ] || return 0
    network=$(ip -4 route show dev "$name" | awk '{ print $1; exit }')
    for table in nat filter; do
        # A rule per line, as the arguments that made it.
        iptables -t "$table" -S | grep -e " $name\( \|$\)" -e " ${network:-$name} " | sed 's/^-A/-D/' |
            while read -r rule; do
                # shellcheck disable=SC2086 # the rule's own words
                iptables -t "$table" $rule || return 1
            done || [ "${PIPESTATUS[1]}" = 1 ] || return 1
    done
    ip link delete "$name" || return 1
    if [ -e "$(forwarding_mark)" ] && ! any_bridge "$ours"; then
        echo 0 >/proc/sys/net/ipv4/ip_forward || return 1
        rm -f "$(forwarding_mark)"
    fi
}
