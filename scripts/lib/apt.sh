# shellcheck shell=bash
# apt without touching the host: own sources, lists, caches and state in one directory.
#
# For the engine, two kinds of packages are needed and the host may have neither: an engine that is new enough
# (from Debian 13, whatever release the host is), and helpers that must match the host's kernel
# tools (from the host's own release). Both come from the mirror the host itself uses, because
# that is the only one known to be reachable and trusted from here.

# Prints "URI SUITE COMPONENTS KEYRING" (tab-separated, "-" for no keyring) for each enabled
# source of the host, in both of apt's formats.
apt_host_sources() {
    local etc=${APT_ETC:-/etc/apt} file
    for file in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk '
            $1 == "deb" {
                keyring = "-"; i = 2
                if ($2 ~ /^\[/) {
                    for (; i <= NF; i++) {
                        option = $i; gsub(/[][]/, "", option)
                        if (option ~ /^signed-by=/) keyring = substr(option, 11)
                        if ($i ~ /\]$/) { i++; break }
                    }
                }
                components = ""
                for (j = i + 2; j <= NF && $j !~ /^#/; j++) components = components (components ? " " : "") $j
                print $i "\t" $(i + 1) "\t" components "\t" keyring
            }' "$file"
    done
    for file in "$etc"/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        # A blank line ends a stanza, a leading blank continues a field, # starts a comment line.
        { cat "$file"; echo; } | awk '
            function flush(    u, s, i, j, nu, ns) {
                if (f["types"] ~ /(^| )deb( |$)/ && f["enabled"] !~ /^no/) {
                    nu = split(f["uris"], u, " "); ns = split(f["suites"], s, " ")
                    keyring = f["signed-by"] ~ /^\/[^ ]*$/ ? f["signed-by"] : "-"
                    for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++)
                        print u[i] "\t" s[j] "\t" f["components"] "\t" keyring
                }
                for (name in f) delete f[name]
                name = ""
            }
            /^#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[ \t]/ { if (name) { sub(/^[ \t]+/, ""); f[name] = f[name] " " $0 } next }
            {
                name = tolower(substr($0, 1, index($0, ":") - 1))
                value = substr($0, index($0, ":") + 1)
                gsub(/^[ \t]+|[ \t]+$/, "", value); f[name] = value
            }'  
    done
}

# The host's distribution mirror among sources on stdin: "URI<tab>KEYRING". Third parties use the
# distribution's suite names too, but only the distribution itself also has SUITE-updates; a
# mirror without it must at least be called after the distribution ($2).
apt_mirror_of() {
    awk -F '\t' -v suite="$1" -v id="$2" '
        $3 !~ /(^| )main( |$)/ { next }
        $2 == suite { if (!($1 in seen)) order[++n] = $1; seen[$1] = $4 }
        $2 == suite "-updates" { updates[$1] = 1 }
        END {
            for (i = 1; i <= n; i++) if (order[i] in updates) { print order[i] "\t" seen[order[i]]; exit }
            for (i = 1; i <= n; i++) if (order[i] ~ "/" id "/?$") { print order[i] "\t" seen[order[i]]; exit }
        }'
}

# One sources.list line on stdout.
apt_line() { # URI SUITE COMPONENTS KEYRING
    if [ "$4" = - ]; then echo "deb $1 $2 $3"; else echo "deb [signed-by=$4] $1 $2 $3"; fi
}

# The host's sources of its own release, which is called $1, as sources.list lines.
apt_host_lines() {
    apt_host_sources | awk -F '\t' -v s="$1" 'index($2, s) == 1 && ($2 == s || $2 == s "-updates" || $2 == s "-security")' |
        while IFS=$'\t' read -r u s c k; do apt_line "$u" "$s" "$c" "$k"; done
}

# Prepares directory $1 as a private apt; its sources.list comes on stdin, $2 is the dpkg status
# file it believes in (the host's own, or /dev/null for "nothing is installed").
apt_private() {
    local dir=$1 status=$2
    mkdir -p "$dir"/{lists/partial,archives/partial,empty}
    cat >"$dir/sources.list"
    {
        # How to reach a mirror (proxy, CA, clock checks) is the host's business and kept;
        # its hooks and extra index targets are not ours to run or fetch.
        apt-config dump | grep '^Acquire::' | grep -v -e '^Acquire::IndexTargets' -e '^Acquire::Changelogs' || true
        cat <<CONF
Dir::Etc::Parts "$dir/empty";
Dir::Etc::Main "$dir/none";
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "$dir/empty";
Dir::Etc::Preferences "$dir/none";
Dir::Etc::PreferencesParts "$dir/empty";
Dir::State "$dir";
Dir::State::Lists "$dir/lists";
Dir::State::Status "$status";
Dir::Cache "$dir";
Dir::Cache::Archives "$dir/archives";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
CONF
    } >"$dir/apt.conf"
    apt_run "$dir" update
}

# Runs apt-get on the private directory $1, quietly unless it fails.
apt_run() {
    local dir=$1 output
    shift
    if ! output=$(APT_CONFIG="$dir/apt.conf" apt-get -q "$@" 2>&1); then
        printf 'apt-get %s failed:\n%s\n' "$*" "$output" >&2
        return 1
    fi
    printf '%s\n' "$output"
}

# Downloads packages by name into $dir/archives, exactly these, without what they depend on.
apt_download() { # DIR PACKAGE...
    local dir=$1
    shift
    (cd "$dir/archives" && apt_run "$dir" download "$@") >/dev/null
}

# Of the packages named and all they depend on, those the host has not installed.
apt_missing() { # DIR PACKAGE...
    local dir=$1 plan
    shift
    plan=$(apt_run "$dir" --simulate install "$@") || return 1
    printf '%s\n' "$plan" | awk '$1 == "Inst" { print $2 }'
}

# Downloads packages of the host's own release, with all they depend on that the host lacks, and unpacks them into
# directory $1, which appears whole or not at all. Debian only: what is missing elsewhere is named otherwise.
apt_unpack() { # DIR PACKAGE...
    local root=$1 work=$1.setup id codename missing deb
    shift
    # shellcheck disable=SC1091 # the host's own
    { read -r id && read -r codename; } < <(. /etc/os-release && printf '%s\n' "${ID:-}" "${VERSION_CODENAME:-}")
    if [ "$id" != debian ]; then
        echo "packages of Debian cannot be unpacked on ${id:-this system}" >&2
        return 1
    fi
    rm -rf "$work"
    mkdir -p "$work/root"
    apt_host_lines "$codename" | apt_private "$work/apt" /var/lib/dpkg/status >/dev/null || return 1
    missing=$(apt_missing "$work/apt" "$@") || return 1
    # shellcheck disable=SC2086 # names, one a word
    apt_download "$work/apt" $missing || return 1
    for deb in "$work"/apt/archives/*.deb; do dpkg-deb -x "$deb" "$work/root" || return 1; done
    mv "$work/root" "$root" || return 1
    rm -rf "$work"
}
