# shellcheck shell=bash
# How boot.sh starts TensorBoard.

prepare_tensorboard() {
    if ! mkdir -p "$TENSORBOARD_LOGDIR" 2> /dev/null; then
        log "tensorboard: cannot write to $TENSORBOARD_LOGDIR, reading $HOME/tensorboard-logs"
        export TENSORBOARD_LOGDIR=$HOME/tensorboard-logs
        mkdir -p "$TENSORBOARD_LOGDIR"
    fi
    serve_pages tensorboard "$TENSORBOARD_PORT" "${TENSORBOARD_PATH%/}/" "${TENSORBOARD_PATH%/}/"
}
