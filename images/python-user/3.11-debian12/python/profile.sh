# shellcheck shell=sh
# Login shells: the image's Python comes first, as it does everywhere else.
case ":$PATH:" in
    *:/opt/python/bin:*) ;;
    *) PATH="/opt/python/bin:$PATH" ;;
esac
export PATH VIRTUAL_ENV=/opt/python
