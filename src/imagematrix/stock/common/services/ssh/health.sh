#!/bin/bash
# Healthy when sshd accepts a login. As root, with a key that sshd accepts from this address of loopback alone. No shell is
# started: a user's may take long.
set -euo pipefail

exec ssh -F none -i "$IMAGE_RUN/health_key" -p "$1" -s -o BindAddress=127.72.69.65 \
    -o BatchMode=yes -o IdentitiesOnly=yes -o PreferredAuthentications=publickey -o LogLevel=ERROR \
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null \
    root@127.0.0.1 sftp < /dev/null
