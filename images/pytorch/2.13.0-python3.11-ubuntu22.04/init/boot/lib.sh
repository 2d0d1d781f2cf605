# shellcheck shell=bash
# The steps of boot.sh, in the order in which it takes them.

known=()
chosen=()
wrong=()
pages=()
declare -A programs=() secret=()

log() { printf '[boot] %s\n' "$*" >&2; }

die() {
    log "ERROR: $*"
    exit 64
}

as_root() { [[ $(id -u) -eq 0 ]]; }

# --- files that belong to this container, never to the image ----------------------------

make_run_directory() {
    local place=/tmp
    if as_root; then place=/run; fi
    run=$("${BASH_SOURCE[0]%/*}/run.sh" make) || die "$place cannot be written to: mount a tmpfs at $place"
    mkdir -p "$run/supervisor.d"
    rm -f "$run"/supervisor.d/* "$run/services"
    : > "$run/services.new"
    export IMAGE_RUN=$run
}

# --- settings ---------------------------------------------------------------------------

# Tells all that is wrong at once.
check_settings() { # FILE
    # shellcheck disable=SC1090  # made of a template
    source "$1"
    rm -rf "$run/secrets"
    check_authentication_of_hub
    local fault
    [[ ${#wrong[@]} -eq 0 ]] || {
        for fault in "${wrong[@]}"; do log "ERROR: $fault"; done
        exit 64
    }
}

# JupyterHub's proxy passes on what anybody sends.
check_authentication_of_hub() {
    [[ -z ${JUPYTERHUB_SERVICE_PREFIX:-} || ${WEB_AUTHENTICATION:-} != none ]] ||
        wrong+=("WEB_AUTHENTICATION is 'none', expected token: JupyterHub's proxy lets everybody through")
}

# Adds a service that the image has; settings.sh says which there are.
service() { # NAME PROGRAM
    known+=("$1")
    programs[$1]=$2
}

# Checks one setting by what its value must be. "docker run --env NAME" takes a variable away where
# the caller has none of that name: then, and when it is empty, it has its default, or is not set.
setting() { # NAME KIND [DEFAULT]
    local value=${!1:-${3-}}
    # JupyterHub and Kubeflow say under which path their proxies reach the image.
    [[ $2 != prefix || -n ${!1:-} ]] || value=${JUPYTERHUB_SERVICE_PREFIX:-${NB_PREFIX:-$value}}
    if [[ -z $value ]]; then
        unset "$1"
        return
    fi
    # What has it already is left alone: bash warns, at each assignment, of a language that it does not know.
    [[ ${!1:-} == "$value" ]] || export "$1=$value"
    "check_$2" "$1" "$value"
}

expected() { # NAME VALUE WHAT
    wrong+=("$1 is '$2', expected $3")
}

check_port() {
    [[ $2 =~ ^[1-9][0-9]{0,4}$ && $2 -le 65535 ]] || expected "$1" "$2" "a port from 1 to 65535"
}

check_path() {
    [[ $2 =~ ^/[A-Za-z0-9._~/-]*$ ]] || expected "$1" "$2" "a path such as /lab"
}

# As check_path, with what JupyterHub puts into paths for the names of users.
check_prefix() {
    [[ $2 =~ ^/([A-Za-z0-9._~@/-]|%[0-9A-Fa-f]{2})*$ ]] || expected "$1" "$2" "a path such as /lab"
}

check_authentication() {
    [[ $2 == token || $2 == none ]] || expected "$1" "$2" "token or none"
}

check_hosts() {
    [[ $2 == '*' || $2 =~ ^[A-Za-z0-9.-]+([, ]+[A-Za-z0-9.-]+)*$ ]] ||
        expected "$1" "$2" "host names without ports, such as lab.example.com,gpu.example.com, or *"
}

check_folder() {
    [[ $2 == /* && $2 != *[[:space:]\"\'%\\]* ]] ||
        expected "$1" "$2" "a folder such as /data/logs, without spaces, quotes and %"
}

check_services() {
    local service
    [[ $2 == auto ]] && return
    [[ ${2//[, ]/} ]] || expected "$1" "$2" "$(service_names)"
    for service in ${2//,/ }; do
        [[ " ${known[*]} " == *" $service "* ]] || expected "$1" "$service" "$(service_names)"
    done
}

service_names() { printf '%s, ' "${known[@]}" && echo "or auto"; }

check_zone() {
    [[ $2 =~ ^[A-Za-z0-9_+/-]+$ && -f /usr/share/zoneinfo/$2 ]] ||
        expected "$1" "$2" "a time zone such as Asia/Shanghai or Europe/Berlin"
}

# A language that the image does not have is compiled: it has the sources of all.
check_language() {
    local source folder=/usr/lib/locale
    if [[ $2 == C || $2 == POSIX ]]; then
        export "$1=C.UTF-8"
        return
    fi
    [[ $(env LC_ALL="$2" locale charmap 2>&1) != UTF-8 ]] || return 0
    source=${2/.UTF-8/}
    if [[ ! $2 =~ ^[a-z]{2,3}_[A-Z]{2}\.UTF-8(@[a-z]+)?$ || ! -f /usr/share/i18n/locales/$source ]]; then
        expected "$1" "$2" "a language such as zh_CN.UTF-8 or de_DE.UTF-8"
        return
    fi
    [[ -w $folder ]] || {
        folder=$run/locale
        mkdir -p "$folder"
        export LOCPATH=$folder
    }
    log "compiling the language $2, which this image does not have yet"
    localedef -i "$source" -f UTF-8 --no-archive "$folder/$2" || expected "$1" "$2" "a language that can be compiled"
}

# --- who may log in ---------------------------------------------------------------------

# Moves the secrets of the environment into files, which check_settings reads and removes. The environment of process 1
# can be read as long as the container lives, and what runs in the container has no business with them.
put_secrets_away() { # FILE
    local name
    rm -rf "$run/secrets"
    mkdir -m 700 "$run/secrets"
    while read -r name; do
        if [[ -n ${!name:-} ]]; then (umask 077 && printf '%s' "${!name}" > "$run/secrets/$name"); fi
        unset "$name"
    done < <(sed -n 's/^secret //p' "$1")
}

# Prints what the variable NAME held, else the file that NAME_FILE names, else the secret of that name.
setting_or_file() { # NAME
    local name=$1 file
    file=${name}_FILE
    if [[ -f $run/secrets/$name ]]; then
        cat "$run/secrets/$name"
    elif [[ -n ${!file:-} ]]; then
        cat "${!file}" || die "$file is '${!file}', which cannot be read"
    elif [[ -r /run/secrets/${name,,} ]]; then
        cat "/run/secrets/${name,,}"
    fi
}

# Reads the value of a secret; settings.sh says which there are.
secret() { # NAME
    secret[$1]=$(setting_or_file "$1")
}

# --- the time of what is started without this environment ---------------------------------

set_zone() {
    local zone=/usr/share/zoneinfo/$TZ
    if as_root && [[ -w /etc ]] && ! cmp -s "$zone" /etc/localtime; then
        # One that is mounted cannot be removed, and stays as it is.
        if cp --remove-destination "$zone" /etc/localtime 2> /dev/null; then echo "$TZ" > /etc/timezone; fi
    fi
}

# --- hooks ------------------------------------------------------------------------------

run_hooks() {
    local hook
    for hook in /init/hooks.d/*; do
        [[ -f $hook && ${hook##*/} != README ]] || continue
        if [[ ! -x $hook ]]; then
            log "hook ${hook##*/} is not executable: left out"
            continue
        fi
        log "hook ${hook##*/}"
        "$hook" >&2 || log "hook ${hook##*/} failed with exit code $?, continuing without it"
    done
}

# --- services ---------------------------------------------------------------------------

# Every service that the image has and that can run here, or those that SERVICES names.
choose_services() {
    local service program why
    for service in "${known[@]}"; do
        program=${programs[$service]}
        # shellcheck disable=SC1090  # of the service
        source "/init/services/$service/service.sh"
        [[ $SERVICES == auto || ,${SERVICES// /,}, == *,$service,* ]] || continue
        if ! command -v "$program" > /dev/null; then
            why="this image has no $program"
            [[ $SERVICES != auto ]] || continue
        else
            why=$(obstacle "$service")
        fi
        if [[ -z $why ]]; then
            chosen+=("$service")
        elif [[ $SERVICES == auto ]]; then
            log "$service is left out: $why"
        else
            die "SERVICES names $service, which cannot run here: $why"
        fi
    done
    [[ ${#chosen[@]} -gt 0 ]] || die "no service can be started: SERVICES is '$SERVICES'"
}

# Prints why a service cannot run here, or nothing.
obstacle() { # SERVICE
    if declare -F "obstacle_$1" > /dev/null; then "obstacle_$1"; fi
}

# Writes down for the health check which service listens where; a page that it serves is asked for by its path.
serve() { # SERVICE PORT [PATH]
    local list=$run/services.new other
    other=$(awk -v port="$2" '$2 == port { print $1 }' "$list")
    [[ -z $other ]] || die "port $2 is used twice: by $1 and $other"
    echo "$*" >> "$list"
}

# The same for a service whose pages ask for the token; a link with it opens OPEN.
serve_pages() { # SERVICE PORT PATH OPEN
    serve "$1" "$2" "$3"
    pages+=("http://localhost:$2$4")
}

# Writes down the token of the services' pages. One that was made stays the same when the
# container is started again.
prepare_web() {
    local token=${secret[JUPYTER_TOKEN]:-} page file=$run/token made=$run/token-made
    [[ ${#pages[@]} -gt 0 ]] || return 0
    if [[ ${WEB_AUTHENTICATION:-} == none ]]; then
        rm -f "$file"
        log "web: WARNING: WEB_AUTHENTICATION is none: anyone who reaches the ports of the web pages can use them"
        return
    fi
    if [[ -z $token ]]; then
        [[ -s $made ]] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$made")
        token=$(< "$made")
        log "web: no JUPYTER_TOKEN was given, so this one was generated for this container:"
        for page in "${pages[@]}"; do log "  $page?token=$token"; done
    fi
    (umask 077 && printf '%s' "$token" > "$file")
}
