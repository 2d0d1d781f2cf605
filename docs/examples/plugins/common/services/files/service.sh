# shellcheck shell=bash
# boot.sh reads this file and calls the function below when the image has the program.

prepare_files() {
    serve files "$FILES_PORT" /
}
