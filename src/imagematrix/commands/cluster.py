"""The cluster command: the scheduler of a cluster, its state, its certificates."""

from imagematrix.commands.command import command
from imagematrix.commands.options import Certificates, ClusterWords


@command
def cluster(*, words: ClusterWords, certificates: Certificates) -> None:
    """Spread builds over machines: `cluster start [ADDRESS]`, `cluster status ADDRESS`, `cluster certificates DIR`."""
    from pathlib import Path

    from imagematrix.commands import extras
    from imagematrix.commands.terminal import echo
    from imagematrix.errors import FlagError, did_you_mean

    extras.require("cluster")
    action, *rest = words or [""]
    match action, rest:
        case "start", [] | [_]:
            from imagematrix.cluster import security, service

            service.schedule(security.address(rest[0] if rest else security.DEFAULT), certificates, say=echo)
        case "status", [at]:
            from imagematrix.cluster import status

            print(status.text(at, certificates), end="")
        case "certificates", [folder]:
            from imagematrix.cluster import certificates as maker

            until = maker.make(Path(folder))
            print(
                f"{folder}: certificates of a new cluster, valid until {until:%Y-%m-%d}\n"
                f"    copy the directory to each machine of the cluster: its key.pem opens all of them"
            )
        case _:
            known = ("start", "status", "certificates")
            hint = "" if action in known or not action else f"\n    {did_you_mean(action, known)}"
            raise FlagError(f"expected `start [ADDRESS]`, `status ADDRESS` or `certificates DIR`{hint}")
