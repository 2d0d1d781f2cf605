# shellcheck shell=bash
# How boot.sh starts JupyterLab.

prepare_jupyter() {
    # JupyterLab is in Chinese; in any other language where that is the container's.
    [[ ${LC_ALL:-$LANG} == zh_CN.* ]] ||
        export JUPYTER_CONFIG_PATH=/init/services/jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}
    serve_pages jupyter "$JUPYTER_PORT" "${JUPYTER_BASE_URL%/}/api" "${JUPYTER_BASE_URL%/}/lab"
}
