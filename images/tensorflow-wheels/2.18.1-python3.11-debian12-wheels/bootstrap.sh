#!/bin/sh
# Makes a minimal Debian base image from the distribution's own packages: no registry needed.
#
#   sh debian.sh [--platform PLATFORM] SUITE IMAGE [CHANGE...]
#   sh debian.sh --platform linux/arm64 bookworm debian12:base 'LABEL a=b'
#   sh debian.sh [--platform PLATFORM] --ask SUITE < LISTS
#
# PLATFORM is Docker's, by default that of this machine; packages for a processor that this one
# cannot run are set up by emulation, for which the kernel must know an emulator (binfmt_misc).
# SUITE is bullseye, bookworm or trixie; each CHANGE is a Dockerfile instruction for
# `docker import --change`. Needs root, a docker client, and mmdebstrap, which is fetched for
# the occasion on Debian and Ubuntu; nothing is installed on the host. Packages that differ from
# base/apt.lock beside this file are named in a line "drifted: …".
#
# --ask makes nothing, and needs neither root nor an engine. It prints what would be installed today:
# for each line of names on standard input "= NAMES", then PACKAGE=VERSION for all that a base with
# these packages has; or "! WHY". Environment:
#
#   DOCKER                  the docker client to call (default: docker)
#   DEBIAN_MIRROR           a mirror to use instead of the one in the host's apt sources
#   DEBIAN_SECURITY_MIRROR  the same for security updates
#
# This file is carried as it is by every image directory that stands on such a base, so it
# depends on no other file.
set -eu

# Errors are in English: the build that reads them expects it.
export LC_ALL=C.UTF-8
unset LANGUAGE

say() { echo "bootstrap: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# --- a place to work in --------------------------------------------------------------------

# A root file system is thousands of small writes: in memory that takes a third of the time. A
# tmpfs in a mount namespace of our own is neither noexec nor nodev, as /dev/shm often is, and
# vanishes with us however we end.
enter_namespace() {
    [ -z "${BOOTSTRAP_INSIDE:-}" ] || return 0
    if unshare --mount --pid --fork --kill-child --mount-proc true 2>/dev/null; then
        BOOTSTRAP_INSIDE=1 exec unshare --mount sh "$0" "$@"
    fi
}

make_work() {
    WORK=$(mktemp -d)
    trap 'clean_up' EXIT
    trap 'interrupt 130' INT
    trap 'interrupt 143' TERM HUP
    chmod 755 "$WORK" # apt's own user has to look inside
    available=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
    if [ -n "${BOOTSTRAP_INSIDE:-}" ] && [ "${available:-0}" -gt 2000000 ]; then
        mount -t tmpfs -o mode=755 bootstrap "$WORK" || say "no tmpfs to work on: using $WORK, which is slower"
    fi
}

clean_up() {
    if grep -q " $WORK tmpfs " /proc/self/mounts; then umount --lazy "$WORK"; fi
    rm -rf --one-file-system "$WORK"
}

# A shell ignores signals while a command runs in its foreground, so the long one runs in the
# background, is waited for, and is ended here: at once where it has a process namespace that
# goes with it (its mounts are in ours), else the way that lets it clean up.
interrupt() {
    trap '' INT TERM HUP
    if [ -n "${CHILD:-}" ]; then
        signal=TERM
        [ -z "${BOOTSTRAP_INSIDE:-}" ] || signal=KILL
        kill -s "$signal" "$CHILD" 2>/dev/null || true # it may just have ended
        wait "$CHILD" || true
    fi
    exit "$1"
}

# --- the host's apt ------------------------------------------------------------------------

os_release() {
    sed -n "s/^$1=//p" /etc/os-release | tr -d '"'
}

# "URI SUITE" for each enabled source of the host, in both of apt's formats.
host_sources() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk '$1 == "deb" {
            i = 2
            if ($2 ~ /^\[/) { while (i < NF && $i !~ /\]$/) i++; i++ }
            print $i, $(i + 1)
        }' "$file"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        # A blank line ends a stanza, a leading blank continues a field.
        { cat "$file" && echo; } | awk '
            function flush(    u, s, i, j, nu, ns) {
                nu = split(field["uris"], u, " "); ns = split(field["suites"], s, " ")
                if (field["types"] ~ /(^| )deb( |$)/ && field["enabled"] !~ /^no/)
                    for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j]
                for (i in field) delete field[i]
                name = ""
            }
            /^#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[ \t]/ { field[name] = field[name] " " $0; next }
            {
                name = tolower(substr($0, 1, index($0, ":") - 1))
                field[name] = substr($0, index($0, ":") + 1)
                sub(/^[ \t]+/, "", field[name])
            }'
    done
}

# The mirror that has both release $1 and its updates: third parties use the release's name too.
host_mirror() {
    host_sources | awk -v suite="$1" '
        $2 == suite { if (!($1 in seen)) order[++n] = $1; seen[$1] = 1 }
        $2 == suite "-updates" { updates[$1] = 1 }
        END { for (i = 1; i <= n; i++) if (order[i] in updates) { print order[i]; exit } }'
}

host_security_mirror() {
    host_sources | awk -v suite="$1-security" '$2 == suite { print $1; exit }'
}

# How this host reaches its mirrors: proxies, CA, whether dates are to be believed.
host_apt_options() {
    if command -v apt-config >/dev/null; then
        apt-config dump | grep '^Acquire::' | grep -v -e '^Acquire::IndexTargets' -e '^Acquire::Changelogs' -e '^Acquire::Languages' || true
    fi
    echo 'Acquire::Languages "none";'
    echo 'Acquire::Retries "3";'
}

# --- what the image gets -------------------------------------------------------------------

# Fetches $1's InRelease to $2. Return code 1: the mirror's status is 404; anything else that goes
# wrong ends us, or a hiccup would make an image without security updates. The address may hold
# the number itself, so it is taken out before apt's words are judged.
fetch_release() {
    if output=$(APT_CONFIG=$WORK/apt.conf /usr/lib/apt/apt-helper download-file "$1" "$2" 2>&1); then
        return 0
    fi
    if printf '%s\n' "$output" | awk -v url="$1" '
        { while (at = index($0, url)) $0 = substr($0, 1, at - 1) substr($0, at + length(url)) }
        /(^| )404  Not Found( |$)/ { found = 1 }
        END { exit !found }'; then
        return 1
    fi
    say "$output"
    die "cannot read $1"
}

# Whether a suite's support has ended (https://wiki.debian.org/LTS), so that mirrors may drop its
# updates. Of a suite that is not listed nobody knows it.
has_ended() {
    case $SUITE in
    jessie | stretch | buster) return 0 ;;
    bullseye) ended=20260831 ;;
    bookworm) ended=20280630 ;;
    trixie) ended=20300630 ;;
    *) return 1 ;;
    esac
    [ "$(date -u +%Y%m%d)" -gt "$ended" ]
}

# A supported suite without its updates is not built: a 404 may be a broken mirror, or somebody on
# the way to one in the clear. $1: what is missing, $2: the variable that names another mirror.
left_out() {
    has_ended || die "$1, and $SUITE is supported: refusing to make a base without it. Name a mirror that has it in $2"
    say "$1: left out, since the support of $SUITE has ended"
}

# Prints one source line for each suite the mirrors have: an old release loses its updates,
# and one day its place on the mirrors.
choose_sources() {
    host=$(os_release VERSION_CODENAME)
    if [ "$(os_release ID)" = debian ]; then
        mirror=${DEBIAN_MIRROR:-$(host_mirror "$host")}
        security=${DEBIAN_SECURITY_MIRROR:-$(host_security_mirror "$host")}
    else
        mirror=${DEBIAN_MIRROR:-} security=${DEBIAN_SECURITY_MIRROR:-}
    fi
    [ -n "$mirror" ] || return 0 # mmdebstrap knows the usual ones
    if ! fetch_release "$mirror/dists/$SUITE/InRelease" "$WORK/InRelease"; then
        die "$mirror has no $SUITE (any more): name a mirror that has it in DEBIAN_MIRROR; Debian keeps ended releases in its archive"
    fi
    echo "deb $mirror $SUITE main"
    if fetch_release "$mirror/dists/$SUITE-updates/InRelease" "$WORK/updates"; then
        echo "deb $mirror $SUITE-updates main"
    else
        left_out "$mirror has no $SUITE-updates" DEBIAN_MIRROR
    fi
    if [ -z "$security" ]; then
        left_out "the host's apt sources name no mirror of $SUITE-security" DEBIAN_SECURITY_MIRROR
    elif fetch_release "$security/dists/$SUITE-security/InRelease" "$WORK/security"; then
        echo "deb $security $SUITE-security main"
    else
        left_out "$security has no $SUITE-security" DEBIAN_SECURITY_MIRROR
    fi
}

# The same packages give the same files: times are the release's own, so the image's one
# filesystem layer has the same digest wherever and whenever it is made.
release_epoch() {
    date=$(sed -n 's/^Date: //p' "$WORK/InRelease" 2>/dev/null | head -n 1)
    date -u -d "${date:-2025-01-01}" +%s
}

# Runs in the finished root file system ($1), before it is packed.
write_hook() {
    cat >"$WORK/finish.sh" <<'HOOK'
set -eu
root=$1
# Documentation is left out, also of packages to come; copyright files have to stay.
cat >"$root/etc/dpkg/dpkg.cfg.d/90-no-documentation" <<'CONF'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/linda/*
CONF
# An image is made in one go or not at all: no need to flush each file to the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/90-no-fsync"
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/90-no-translations"
find "$root/usr/share/doc" -depth \( -type f -o -type l \) ! -name copyright -delete
find "$root/usr/share/doc" -depth -type d -empty -delete
rm -rf "$root"/usr/share/man/* "$root"/usr/share/info/* "$root"/usr/share/groff "$root"/usr/share/lintian "$root"/usr/share/linda
# What belongs to this host: how it reaches mirrors, its name, its resolver.
rm -f "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap
# One place for sources, the same in each release.
[ ! -e "$root/etc/apt/sources.list.d/0000sources.list" ] ||
    mv "$root/etc/apt/sources.list.d/0000sources.list" "$root/etc/apt/sources.list"
rm -f "$root"/etc/hostname "$root"/etc/resolv.conf
dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package}=${Version}\n' >"$(dirname "$0")/installed"
# Services are not started while packages are installed: nothing would stop them.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/* "$root"/var/lib/apt/lists/*
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/cache/debconf" "$root/var/lib/apt/lists/partial"
HOOK
}

# --- mmdebstrap ----------------------------------------------------------------------------

# Sets KEYRING; fetches it, and $wanted, with a private apt from the host's release, if they are missing.
find_keyring() {
    KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$KEYRING" ] || wanted="$wanted debian-archive-keyring"
    [ -n "$wanted" ] || return 0
    command -v apt-get >/dev/null || die "needs mmdebstrap and debian-archive-keyring: install them (packages of that name; Fedora and Arch have them too)"
    get_packages
    [ -e "$KEYRING" ] || KEYRING=$WORK/root$KEYRING
}

# Sets MMDEBSTRAP, HOOKS and KEYRING.
find_mmdebstrap() {
    MMDEBSTRAP=$(command -v mmdebstrap || true)
    HOOKS=/usr/share/mmdebstrap/hooks
    wanted=
    [ -n "$MMDEBSTRAP" ] || wanted=mmdebstrap
    find_keyring
    [ -z "$wanted" ] || [ -n "$MMDEBSTRAP" ] || HOOKS=$WORK/root$HOOKS
    MMDEBSTRAP=${MMDEBSTRAP:-$WORK/root/usr/bin/mmdebstrap}
    [ -n "$wanted" ] || return 0
    PERL5LIB=$(printf '%s:' "$WORK"/root/usr/share/perl/5* "$WORK"/root/usr/lib/*/perl/5* "$WORK"/root/usr/share/perl5)
    export PERL5LIB
}

# Writes the configuration of a private apt in $apt. $1: the file that says what is installed.
write_private_apt() {
    apt=$WORK/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/none"
    {
        cat "$WORK/apt.conf"
        cat <<CONF
Dir::Etc::Parts "$apt/none";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$1";
Dir::Cache "$apt";
Dir::Cache::Archives "$apt/archives";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
CONF
    } >"$apt/apt.conf"
}

# Downloads and unpacks $wanted with all it depends on that the host has not.
get_packages() {
    mkdir -p "$WORK/root"
    write_private_apt /var/lib/dpkg/status
    quietly apt-get -q update
    # shellcheck disable=SC2086 # names, one a word
    quietly apt-get -q --simulate install $wanted
    missing=$(awk '$1 == "Inst" { print $2 }' "$WORK/output")
    # shellcheck disable=SC2086 # names, one a word
    (cd "$apt/archives" && quietly apt-get -q download $missing)
    for deb in "$apt"/archives/*.deb; do dpkg-deb -x "$deb" "$WORK/root"; done
    rm -rf "$apt"
}

quietly() {
    if ! APT_CONFIG=$WORK/apt/apt.conf "$@" >"$WORK/output" 2>&1; then
        cat "$WORK/output" >&2
        die "failed: $*"
    fi
}

make_tarball() {
    SOURCE_DATE_EPOCH=$(release_epoch)
    export SOURCE_DATE_EPOCH
    # These two still come with a split /usr but are meant to be used with a merged one; later
    # releases bring it along. Only bookworm has packages that ask for it, which takes more care.
    # shellcheck disable=SC2016 # $1 and $d are the hook's
    case $SUITE in
    bullseye) set -- --setup-hook='for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d" && ln -s "usr/$d" "$1/$d" || exit; done' ;;
    bookworm) set -- --hook-dir="$HOOKS/merged-usr" ;;
    *) set -- ;;
    esac
    set -- "$@" "$SUITE" "$WORK/root.tar"
    [ ! -s "$WORK/sources" ] || set -- "$@" "$WORK/sources"
    set -- "$MMDEBSTRAP" --variant=minbase --keyring="$KEYRING" \
        --aptopt="$WORK/apt.conf" --dpkgopt=force-unsafe-io \
        --customize-hook="sh '$WORK/finish.sh' \"\$1\"" "$@"
    # Whether programs of that processor run shows the moment one is started: another check needs more packages.
    [ -z "$ARCHITECTURE" ] || set -- "$@" --architectures="$ARCHITECTURE" --skip=check/qemu
    [ -z "${BOOTSTRAP_INSIDE:-}" ] || set -- unshare --pid --fork --kill-child --mount-proc "$@"
    TMPDIR=$WORK "$@" >"$WORK/log" 2>&1 &
    CHILD=$!
    if ! wait "$CHILD"; then
        cat "$WORK/log" >&2
        die "mmdebstrap could not make $SUITE"
    fi
    CHILD=
}

# Names the packages that differ from the lock beside this script, if there is one.
compare() {
    lock=$(dirname "$0")/base/apt.lock
    [ -s "$lock" ] || return 0
    awk -F= 'NR == FNR { locked[$1] = $0; next }
        $1 in locked && $0 != locked[$1] { print "drifted: " $0 " instead of " locked[$1] }' "$lock" "$WORK/installed" >&2
}

# --- what would be installed today ---------------------------------------------------------

ask() {
    [ $# -eq 1 ] || die "usage: sh $0 --ask SUITE"
    SUITE=$1
    command -v apt-get >/dev/null || die "needs apt-get to ask what would be installed"
    make_work
    host_apt_options >"$WORK/apt.conf"
    choose_sources >"$WORK/sources"
    [ -s "$WORK/sources" ] || die "this host's apt sources name no mirror of $SUITE: name one in DEBIAN_MIRROR"
    wanted=
    find_keyring
    : >"$WORK/status"
    write_private_apt "$WORK/status"
    [ -z "$ARCHITECTURE" ] ||
        printf 'APT::%s "%s";\n' Architecture "$ARCHITECTURE" Architectures:: "$ARCHITECTURE" >>"$apt/apt.conf"
    sed "s|^deb |deb [signed-by=$KEYRING] |" "$WORK/sources" >"$apt/sources.list"
    printf 'Dir::Etc::%s;\n' "SourceList \"$apt/sources.list\"" "SourceParts \"$apt/none\"" >>"$apt/apt.conf"
    quietly apt-get -q update
    while read -r names; do
        echo "= $names"
        simulate "$names"
    done
}

# What mmdebstrap installs for its variant minbase, with the packages of $1.
simulate() {
    merged=
    [ "$SUITE" != bookworm ] || merged=usr-is-merged # of two packages apt would take the other one
    # shellcheck disable=SC2086 # names, one a word
    if APT_CONFIG=$apt/apt.conf apt-get -q --print-uris install --no-install-recommends \
        '?or(?essential,?priority(required))' apt $merged $1 >"$WORK/output" 2>&1; then
        # 'ADDRESS' NAME_VERSION_ARCHITECTURE.deb SIZE HASH: a simulation says the same, in three times the time.
        awk "/^'/"' { split($2, part, "_"); gsub("%3a", ":", part[2]); print part[1] "=" part[2] }' "$WORK/output"
    else
        awk '/^E: / { why = substr($0, 4); exit } END { print "! " (why ? why : "apt-get failed") }' "$WORK/output"
    fi
}

main() {
    [ $# -ge 2 ] || die "usage: sh $0 SUITE IMAGE [CHANGE...]"
    SUITE=$1 IMAGE=$2
    shift 2
    [ "$(id -u)" = 0 ] || die "making a root file system takes root"
    command -v "${DOCKER:-docker}" >/dev/null || die "no docker client: install one, or name it in DOCKER"
    # Now, not after half a minute of work.
    "${DOCKER:-docker}" version >/dev/null || die "no Docker Engine answers"
    make_work
    host_apt_options >"$WORK/apt.conf"
    choose_sources >"$WORK/sources"
    find_mmdebstrap
    write_hook
    make_tarball
    compare
    # Through a file and not a pipe: of a tarball that ends early, import would make an image.
    for change in "$@"; do
        set -- "$@" --change "$change"
        shift
    done
    # The label names the suites that the packages are from.
    suites=$(awk '{ printf "%s%s", separator, $3; separator = " " }' "$WORK/sources")
    [ -z "$PLATFORM" ] || set -- --platform "$PLATFORM" "$@"
    "${DOCKER:-docker}" import "$@" --change "LABEL imagematrix.suites=\"${suites:-$SUITE}\"" "$WORK/root.tar" "$IMAGE"
}

# Debian's name for the processor of a platform of Docker's.
architecture() {
    case $1 in
    */386) echo i386 ;;
    */arm/v7) echo armhf ;;
    */arm | */arm/*) echo armel ;;
    */ppc64le) echo ppc64el ;;
    *) echo "$1" | cut -d / -f 2 ;;
    esac
}

enter_namespace "$@"
PLATFORM='' ARCHITECTURE=''
if [ "${1:-}" = --platform ]; then
    [ $# -ge 2 ] || die "--platform needs a value"
    PLATFORM=$2 ARCHITECTURE=$(architecture "$2")
    shift 2
fi
if [ "${1:-}" = --ask ]; then
    shift
    ask "$@"
else
    main "$@"
fi
