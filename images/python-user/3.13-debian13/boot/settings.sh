# shellcheck shell=bash
# Made of settings.sh.j2 and read by lib.sh.
# Each service, and its program.
service tensorboard tensorboard
service jupyter jupyter-lab
# Each secret.
secret JUPYTER_TOKEN
# Each other setting, what its value must be, its default.
setting TZ zone Asia/Shanghai
setting LANG language zh_CN.UTF-8
setting LC_ALL language
setting SERVICES services auto
setting WEB_AUTHENTICATION authentication token
setting WEB_HOSTS hosts
setting TENSORBOARD_PORT port 6006
setting TENSORBOARD_PATH path /monitor
setting TENSORBOARD_LOGDIR folder /home/user/tensorboard-logs
setting JUPYTER_PORT port 8888
setting JUPYTER_BASE_URL prefix /jupyter
