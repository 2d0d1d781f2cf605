# shellcheck shell=bash
# The steps of boot.sh, in the order in which it takes them.

chosen=()
wrong=()

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
    [[ -w ${HOME:-/} ]] || export HOME=$run
}

# --- settings ---------------------------------------------------------------------------

# Tells all that is wrong at once.
check_settings() { # FILE
    take_path_of_platform
    # shellcheck disable=SC1090  # made of a template
    source "$1"
    check_authentication_of_hub
    local fault
    [[ ${#wrong[@]} -eq 0 ]] || {
        for fault in "${wrong[@]}"; do log "ERROR: $fault"; done
        exit 64
    }
}

# JupyterHub and Kubeflow say under which path their proxies reach JupyterLab.
take_path_of_platform() {
    export JUPYTER_BASE_URL=${JUPYTER_BASE_URL:-${JUPYTERHUB_SERVICE_PREFIX:-${NB_PREFIX-}}}
}

# JupyterHub's proxy passes on what anybody sends.
check_authentication_of_hub() {
    [[ -z ${JUPYTERHUB_SERVICE_PREFIX:-} || $WEB_AUTHENTICATION != none ]] ||
        wrong+=("WEB_AUTHENTICATION is 'none', expected token: JupyterHub's proxy lets everybody through")
}

# Checks one setting by what its value must be. "docker run --env NAME" takes a variable away where
# the caller has none of that name: then, and when it is empty, it has its default, or is not set.
setting() { # NAME KIND [DEFAULT]
    local value=${!1:-${3-}}
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
    [[ ${2//[, ]/} ]] || expected "$1" "$2" "ssh, jupyter, tensorboard or auto"
    for service in ${2//,/ }; do
        case $service in
            ssh | jupyter | tensorboard) ;;
            *) expected "$1" "$service" "ssh, jupyter, tensorboard or auto" ;;
        esac
    done
}

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

secrets=(ROOT_PASSWORD SSH_AUTHORIZED_KEYS JUPYTER_TOKEN)

# Moves the secrets of the environment into files, which set_credentials reads and removes. The environment of process 1
# can be read as long as the container lives, and what runs in the container has no business with them.
put_secrets_away() {
    local name
    rm -rf "$run/secrets"
    mkdir -m 700 "$run/secrets"
    for name in "${secrets[@]}"; do
        if [[ -n ${!name:-} ]]; then (umask 077 && printf '%s' "${!name}" > "$run/secrets/$name"); fi
        unset "$name"
    done
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

set_credentials() {
    password=$(setting_or_file ROOT_PASSWORD)
    keys=$(setting_or_file SSH_AUTHORIZED_KEYS)
    token=$(setting_or_file JUPYTER_TOKEN)
    rm -rf "$run/secrets"
    if [[ -z $password && -r /etc/sync_passwd ]]; then password=$(password_of_platform); fi
    [[ $password != *$'\n'* ]] || die "ROOT_PASSWORD has more than one line"
}

# Its first line, which may name the user as chpasswd wants it.
password_of_platform() {
    sed -n '1 { s/\r$//; s/^root://; p; }' /etc/sync_passwd
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
        "$hook" >&2 || log "hook ${hook##*/} failed with exit code $?, going on without it"
    done
}

# --- services ---------------------------------------------------------------------------

# Every service that the image has and that can run here, or those that SERVICES names.
choose_services() {
    local service program why
    local -A programs=([ssh]=/usr/sbin/sshd [jupyter]=jupyter-lab [tensorboard]=tensorboard)
    for service in ssh jupyter tensorboard; do
        program=${programs[$service]}
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
obstacle() {
    if [[ $1 != ssh ]]; then
        return
    elif ! as_root; then
        echo "it needs to run as root, this is user $(id -u)"
    elif ! has_capabilities 6 7 18 29; then
        echo "it needs the capabilities SETGID, SETUID, SYS_CHROOT and AUDIT_WRITE, and not all of them were given"
    elif ! mkdir -p /run/sshd 2> /dev/null; then
        echo "it needs /run/sshd, and /run cannot be written to: mount a tmpfs there"
    fi
}

# Whether root may do all that is named by number (capabilities(7)): without, sshd starts, but drops every login.
has_capabilities() {
    local number held
    held=$((16#$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)))
    for number; do
        ((held >> number & 1)) || return 1
    done
}

# Writes down for the health check which service listens where; a page that it serves is asked for by its path.
serve() { # SERVICE PORT [PATH]
    local list=$run/services.new other
    other=$(awk -v port="$2" '$2 == port { print $1 }' "$list")
    [[ -z $other ]] || die "port $2 is asked for twice: by $1 and $other"
    echo "$*" >> "$list"
}

prepare_ssh() {
    local key_type host_keys=/etc/ssh with_password=no
    [[ -w $host_keys ]] || host_keys=$run
    for key_type in ed25519 ecdsa; do
        make_host_key "$key_type" "$host_keys/ssh_host_${key_type}_key"
    done
    if [[ -n $keys ]]; then
        printf '%s\n' "$keys" > "$run/authorized_keys"
        log "ssh: $(grep -c '^[^#]' "$run/authorized_keys") authorized key(s)"
    fi
    if [[ -n $password ]]; then set_password; fi
    if [[ -z $keys && $with_password == no && ! -s /root/.ssh/authorized_keys ]]; then
        log "ssh: nobody can log in yet. Give a key or a password when the container starts:"
        log "  docker run -e SSH_AUTHORIZED_KEYS=\"\$(cat ~/.ssh/id_ed25519.pub)\" ..."
        log "  docker run -e ROOT_PASSWORD=... ...   or mount /run/secrets/root_password"
    fi
    {
        cat /init/ssh/sshd_config
        printf 'Port %s\n' "$SSH_PORT"
        printf 'HostKey %s\n' "$host_keys"/ssh_host_{ed25519,ecdsa}_key
        printf 'AuthorizedKeysFile .ssh/authorized_keys %s\n' "$run/authorized_keys"
        printf 'PasswordAuthentication %s\n' "$with_password"
        forwarded_displays
        health_login
    } > "$run/sshd_config"
    chmod 600 "$run/sshd_config"
    /usr/sbin/sshd -t -f "$run/sshd_config" || die "sshd refuses its configuration"
    serve ssh "$SSH_PORT"
}

# Prints what forwarding X11 needs here: sshd refuses it where IPv6 is known but off, and the cookies want a file.
forwarded_displays() {
    [[ -s /proc/net/if_inet6 ]] || echo 'AddressFamily inet'
    [[ -w /root ]] || printf 'SetEnv XAUTHORITY=%s\n' "$run/Xauthority"
}

# Prints how sshd treats the health check (health.sh), by the address of loopback that it comes from: it has a key of its
# own, can do nothing but log in, and is not logged.
health_login() {
    rm -f "$run/health_key"
    make_host_key ed25519 "$run/health_key"
    cat << END
Match Address 127.72.69.65
    AuthorizedKeysFile $run/health_key.pub
    PasswordAuthentication no
    ForceCommand internal-sftp -R -p realpath
    DisableForwarding yes
    PermitTTY no
    LogLevel QUIET
END
}

make_host_key() {
    [[ -s $2 ]] || ssh-keygen -q -t "$1" -N '' -f "$2"
}

set_password() {
    if [[ ! -w /etc/shadow || ! -w /etc ]]; then
        log "ssh: the password is left out: /etc cannot be written to. Give a key instead"
        return
    fi
    printf 'root:%s\n' "$password" | chpasswd || die "ROOT_PASSWORD was not accepted"
    with_password=yes
    log "ssh: root may log in with the password given"
}

prepare_jupyter() {
    # JupyterLab is in Chinese; in any other language where that is the container's.
    [[ ${LC_ALL:-$LANG} == zh_CN.* ]] || export JUPYTER_CONFIG_PATH=/init/jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}
    serve jupyter "$JUPYTER_PORT" "${JUPYTER_BASE_URL%/}/api"
}

prepare_tensorboard() {
    if ! mkdir -p "$TENSORBOARD_LOGDIR" 2> /dev/null; then
        log "tensorboard: cannot write to $TENSORBOARD_LOGDIR, reading $HOME/tensorboard-logs"
        export TENSORBOARD_LOGDIR=$HOME/tensorboard-logs
        mkdir -p "$TENSORBOARD_LOGDIR"
    fi
    serve tensorboard "$TENSORBOARD_PORT" "${TENSORBOARD_PATH%/}/"
}

# Writes down the token of the web pages, JupyterLab and TensorBoard. One that was made stays the same when the
# container is started again; a link with it opens either.
prepare_web() {
    local file=$run/token made=$run/token-made
    [[ " ${chosen[*]} " == *" jupyter "* || " ${chosen[*]} " == *" tensorboard "* ]] || return 0
    if [[ $WEB_AUTHENTICATION == none ]]; then
        rm -f "$file"
        log "web: WARNING: WEB_AUTHENTICATION is none: anyone who reaches the ports of the web pages can use them"
        return
    fi
    if [[ -z $token ]]; then
        [[ -s $made ]] || (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$made")
        token=$(< "$made")
        log "web: no JUPYTER_TOKEN was given, this one was made for this container:"
        show_links
    fi
    (umask 077 && printf '%s' "$token" > "$file")
}

show_links() {
    local service
    for service in "${chosen[@]}"; do
        case $service in
            jupyter) log "  http://localhost:$JUPYTER_PORT${JUPYTER_BASE_URL%/}/lab?token=$token" ;;
            tensorboard) log "  http://localhost:$TENSORBOARD_PORT${TENSORBOARD_PATH%/}/?token=$token" ;;
        esac
    done
}
