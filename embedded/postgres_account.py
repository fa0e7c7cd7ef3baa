"""As whom PostgreSQL runs: it refuses root, so that root has to lend it another account."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import EmbeddedStackError

_STAND_INS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class PostgresAccount:
    """The account PostgreSQL runs under where this process is root's.

    Attributes:
        uid: user number.
        gid: group number.
        escort: command line before every PostgreSQL program. Empty where the account reaches all it needs by
            itself; else it changes the account on the way, and lets it pass closed directories.
    """

    uid: int
    gid: int
    escort: tuple[str, ...] = ()

    @property
    def direct(self) -> tuple[int, int] | None:
        """User and group number to start a command as, None where the escort does it."""
        return None if self.escort else (self.uid, self.gid)


def postgres_account(cluster: Path, programs: Sequence[Path]) -> PostgresAccount | None:
    """Choose the account for a cluster.

    Args:
        cluster: the cluster's directory, which exists. Unless root owns it, its owner stays in charge of it.
        programs: every program that will be started.

    Returns:
        The account, or None where this process is not root's and uses its own.

    Raises:
        EmbeddedStackError: there is no account to use, or it cannot reach the cluster or the programs.
    """
    if os.geteuid() != 0:
        return None
    owner = cluster.stat()
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _stand_in()
    closed = _first_closed((cluster.parent, *programs), uid, gid)
    if closed is None:
        return PostgresAccount(uid, gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedStackError(
            f"PostgreSQL does not run as root, and user {uid} cannot pass {closed}: "
            "choose a directory that is open to all, run as another user, or install setpriv (util-linux)"
        )
    # The one capability that containers leave to root by default and that opens both closed directories and
    # programs installed under a strict umask. Opening the directories themselves would let everybody in, for good.
    # `access()`, which PostgreSQL asks about its own programs, heeds capabilities under that secure bit only.
    escort = (
        setpriv,
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
        "--",
    )
    return PostgresAccount(uid, gid, escort)


def _stand_in() -> tuple[int, int]:
    for name in _STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedStackError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_STAND_INS)}: run as another user"
    )


def _first_closed(paths: Iterable[Path], uid: int, gid: int) -> Path | None:
    """Find what the account cannot pass or execute, judging by the permission bits alone."""
    for path in paths:
        resolved = path.resolve()
        for step in (*reversed(resolved.parents), resolved):
            status = step.stat()
            if status.st_uid == uid:
                needed = stat.S_IXUSR
            elif status.st_gid == gid:
                needed = stat.S_IXGRP
            else:
                needed = stat.S_IXOTH
            if not status.st_mode & needed:
                return step
    return None
