# shellcheck shell=bash
# How boot.sh starts sshd.

# shellcheck disable=SC2154  # run, secret: of lib.sh
obstacle_ssh() {
    if ! as_root; then
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

prepare_ssh() {
    local key_type host_keys=/etc/ssh with_password=no keys=${secret[SSH_AUTHORIZED_KEYS]} password
    password=$(password_of_root)
    [[ $password != *$'\n'* ]] || die "ROOT_PASSWORD has more than one line"
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
        log "ssh: no login is possible yet. Give a key or a password when the container starts:"
        log "  docker run -e SSH_AUTHORIZED_KEYS=\"\$(cat ~/.ssh/id_ed25519.pub)\" ..."
        log "  docker run -e ROOT_PASSWORD=... ...   or mount /run/secrets/root_password"
    fi
    {
        cat /init/services/ssh/sshd_config
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

# Prints what was given, else the first line of the file that some platforms write, which may name the user as chpasswd
# wants it.
password_of_root() {
    if [[ -n ${secret[ROOT_PASSWORD]} || ! -r /etc/sync_passwd ]]; then
        printf '%s' "${secret[ROOT_PASSWORD]}"
    else
        sed -n '1 { s/\r$//; s/^root://; p; }' /etc/sync_passwd
    fi
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
