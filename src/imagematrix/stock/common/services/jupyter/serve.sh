#!/bin/bash
# Starts JupyterLab as the settings say.
set -euo pipefail

options=(
    --allow-root
    --no-browser
    --ip=0.0.0.0
    --port="$JUPYTER_PORT"
    --ServerApp.port_retries=0
    --ServerApp.base_url="$JUPYTER_BASE_URL"
    --ServerApp.root_dir="$HOME"
    --ServerApp.terminado_settings="shell_command=['/bin/bash','-l']"
    # Behind a proxy with TLS, cookies are for TLS only; the log has the browsers' addresses.
    --ServerApp.trust_xheaders=True
)

wanted=${WEB_HOSTS-}
IFS=', ' read -ra hosts <<< "${wanted,,}"

# Pages of these names may open connections to it, though the proxy made another Host of theirs.
if [[ ${#hosts[@]} -gt 0 && $wanted != '*' ]]; then
    names=$(IFS='|' && echo "${hosts[*]//./\\.}")
    options+=(--ServerApp.allow_origin_pat="^https?://($names)(:[0-9]+)?\$")
fi

if [[ $WEB_AUTHENTICATION == token ]]; then
    export JUPYTER_TOKEN_FILE=$IMAGE_RUN/token
else
    # Without a token only the name of the Host tells a page of this machine from one whose name was pointed to it.
    options+=(--IdentityProvider.token= --ServerApp.allow_remote_access="$([[ $wanted == '*' ]] && echo True || echo False)")
    for host in localhost "${hosts[@]}"; do options+=(--ServerApp.local_hostnames="$host"); done
fi

exec jupyter-lab "${options[@]}"
