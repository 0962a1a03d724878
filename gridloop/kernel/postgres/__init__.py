"""Our own PostgreSQL: find it, start it, stop it, survive its death, back it up and bring it back.

The server is an ordinary PostgreSQL whose programs come with the project's dependencies, so a fresh machine needs no
root, no container and no system package. `Cluster` is its whole life; `checks` are the promises a server must keep
before we entrust it with a report; `backup` turns everything worth keeping into one file; `disk` keeps a reserve.
"""

from gridloop.kernel.postgres.binaries import Binaries, find_binaries
from gridloop.kernel.postgres.checks import check_server
from gridloop.kernel.postgres.cluster import Cluster, Status
from gridloop.kernel.postgres.disk import DiskState, disk_state

__all__ = ["Binaries", "Cluster", "DiskState", "Status", "check_server", "disk_state", "find_binaries"]
