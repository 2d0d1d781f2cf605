# shellcheck shell=bash
# The steps of boot.sh, in the order in which it takes them.

chosen=()
ports=()
run=/run/image

log() { printf '[boot] %s\n' "$*" >&2; }

die() {
    log "ERROR: $*"
    exit 64
}

as_root() { [[ $(id -u) -eq 0 ]]; }

# --- settings ---------------------------------------------------------------------------

check_settings() {
    local name
    for name in SSH_PORT JUPYTER_PORT TENSORBOARD_PORT; do
        is_port "${!name-}" || die "$name is '${!name-}', expected a port from 1 to 65535"
    done
    for name in JUPYTER_BASE_URL TENSORBOARD_PATH; do
        [[ ${!name-} =~ ^/[A-Za-z0-9._~/-]*$ ]] ||
            die "$name is '${!name-}', expected a path such as /lab"
    done
    # "docker run --env NAME" takes a variable away where the caller has none of that name.
    export TZ=${TZ:-$(< /etc/timezone)} LANG=${LANG:-C.UTF-8} SERVICES=${SERVICES:-auto}
    export TENSORBOARD_LOGDIR=${TENSORBOARD_LOGDIR:-/root/tensorboard-logs}
    [[ -f /usr/share/zoneinfo/$TZ ]] ||
        die "TZ is '$TZ', expected a zone such as Asia/Shanghai or Europe/Berlin"
    if [[ $(locale charmap 2>&1) != UTF-8 ]]; then
        log "LANG is '$LANG', which this image does not have: using C.UTF-8"
        export LANG=C.UTF-8
    fi
}

is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ && $1 -le 65535 ]]; }

# --- files that belong to this container, never to the image ----------------------------

make_run_directory() {
    mkdir -p "$run/supervisor.d" 2>/dev/null || {
        run=/tmp/image-$(id -u)
        mkdir -p "$run/supervisor.d" || die "neither /run nor /tmp can be written to"
    }
    rm -f "$run"/supervisor.d/*
    : > "$run/ports"
    export IMAGE_RUN=$run
    [[ -w ${HOME:-/} ]] || export HOME=$run
}

# --- who may log in ---------------------------------------------------------------------

# Prints what NAME holds, else the file that NAME_FILE names, else the secret of that name.
setting_or_file() {
    local name=$1 file
    file=${name}_FILE
    file=${!file:-/run/secrets/${name,,}}
    if [[ -n ${!name:-} ]]; then
        printf '%s' "${!name}"
    elif [[ -r $file ]]; then
        cat "$file"
    fi
}

set_credentials() {
    password=$(setting_or_file ROOT_PASSWORD)
    keys=$(setting_or_file SSH_AUTHORIZED_KEYS)
    token=$(setting_or_file JUPYTER_TOKEN)
    # What runs in the container has no business with them.
    unset ROOT_PASSWORD SSH_AUTHORIZED_KEYS JUPYTER_TOKEN
}

# --- the environment of people who log in -----------------------------------------------

# sshd starts every session from nothing: it gets the container's settings from here.
write_environment() {
    local name value line="SetEnv"
    : > "$run/profile.sh"
    while IFS= read -r name; do
        case $name in
            _ | HOME | HOSTNAME | LOGNAME | OLDPWD | PWD | SHLVL | TERM | USER) continue ;;
            *PASSWORD* | *SECRET* | *TOKEN*) continue ;;
        esac
        value=${!name}
        printf 'export %s=%q\n' "$name" "$value" >> "$run/profile.sh"
        # sshd's configuration knows neither line breaks nor quotes inside a value.
        [[ $value == *[$'\n"\\']* ]] || line+=" \"$name=$value\""
    done < <(compgen -e)
    ssh_environment=$line
}

# --- hooks ------------------------------------------------------------------------------

run_hooks() {
    local hook
    for hook in /init/hooks.d/*; do
        [[ -f $hook && -x $hook ]] || continue
        log "hook ${hook##*/}"
        "$hook" >&2 || log "hook ${hook##*/} failed with exit code $?, going on without it"
    done
}

# --- services ---------------------------------------------------------------------------

# Every service that the image has, or those that SERVICES names.
choose_services() {
    local service
    if [[ $SERVICES == auto ]]; then
        for service in ssh jupyter tensorboard; do
            if has_service "$service"; then chosen+=("$service"); fi
        done
        return
    fi
    for service in ${SERVICES//,/ }; do
        case $service in
            ssh | jupyter | tensorboard) ;;
            *) die "SERVICES names '$service', expected ssh, jupyter, tensorboard or auto" ;;
        esac
        has_service "$service" || die "SERVICES names $service, which cannot run here"
        chosen+=("$service")
    done
}

has_service() {
    case $1 in
        ssh)
            as_root || log "ssh is left out: it needs to run as root, this is user $(id -u)"
            as_root && [[ -x /usr/sbin/sshd ]]
            ;;
        jupyter) command -v jupyter-lab > /dev/null ;;
        tensorboard) command -v tensorboard > /dev/null ;;
    esac
}

prepare_ssh() {
    local key_type host_keys=/etc/ssh with_password=no
    [[ -w $host_keys ]] || host_keys=$run
    for key_type in ed25519 ecdsa; do
        make_host_key "$key_type" "$host_keys/ssh_host_${key_type}_key"
    done
    mkdir -p /run/sshd
    if [[ -n $keys ]]; then
        printf '%s\n' "$keys" > "$run/authorized_keys"
        log "ssh: $(grep -c '^[^#]' "$run/authorized_keys") authorized key(s)"
    fi
    if [[ -n $password ]]; then
        printf 'root:%s\n' "$password" | chpasswd || die "ROOT_PASSWORD was not accepted"
        with_password=yes
        log "ssh: root may log in with the password given"
    fi
    if [[ -z $keys$password && ! -s /root/.ssh/authorized_keys ]]; then
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
        printf '%s\n' "$ssh_environment"
    } > "$run/sshd_config"
    chmod 600 "$run/sshd_config" "$run/profile.sh"
    /usr/sbin/sshd -t -f "$run/sshd_config" || die "sshd refuses its configuration"
    ports+=("$SSH_PORT")
}

make_host_key() {
    [[ -s $2 ]] || ssh-keygen -q -t "$1" -N '' -f "$2"
}

prepare_jupyter() {
    if [[ -z $token ]]; then
        token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
        log "jupyter: no JUPYTER_TOKEN was given, this one was made for this container:"
        log "  http://localhost:$JUPYTER_PORT${JUPYTER_BASE_URL%/}/lab?token=$token"
    fi
    (umask 077 && printf '%s' "$token" > "$run/jupyter-token")
    ports+=("$JUPYTER_PORT")
}

prepare_tensorboard() {
    if ! mkdir -p "$TENSORBOARD_LOGDIR" 2> /dev/null; then
        log "tensorboard: cannot write to $TENSORBOARD_LOGDIR, reading $HOME/tensorboard-logs"
        export TENSORBOARD_LOGDIR=$HOME/tensorboard-logs
        mkdir -p "$TENSORBOARD_LOGDIR"
    fi
    ports+=("$TENSORBOARD_PORT")
}
