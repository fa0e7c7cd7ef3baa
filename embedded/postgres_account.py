"""The account of PostgreSQL: it refuses to run as root, so a process of root starts it under another account."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import EmbeddedStackError

_UNPRIVILEGED_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class PostgresAccount:
    """The account that PostgreSQL runs under if this process runs as root.

    Attributes:
        uid: User number.
        gid: Group number.
        command_prefix: The start of every PostgreSQL command line. Empty if the account can reach the cluster and
            the programs. Otherwise the prefix switches to the account and lets it pass through closed directories.
    """

    uid: int
    gid: int
    command_prefix: tuple[str, ...] = ()

    @property
    def spawn_as(self) -> tuple[int, int] | None:
        """User and group number to spawn a command as; None if the prefix switches the account."""
        return None if self.command_prefix else (self.uid, self.gid)


def postgres_account(cluster: Path, programs: Sequence[Path]) -> PostgresAccount | None:
    """Choose the account for a cluster.

    Args:
        cluster: The cluster's directory, which exists. If its owner is not root, PostgreSQL runs as its owner.
        programs: All PostgreSQL programs that will be started.

    Returns:
        The account; None if this process does not run as root, so that PostgreSQL can run under the same account.

    Raises:
        EmbeddedStackError: There is no account to use, or the account cannot reach the cluster or the programs.
    """
    if os.geteuid() != 0:
        return None
    owner = cluster.stat()
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _unprivileged_user()
    closed = _first_closed((cluster.parent, *programs), uid, gid)
    if closed is None:
        return PostgresAccount(uid, gid)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedStackError(
            f"PostgreSQL does not run as root, and user {uid} has no access to {closed}: "
            "choose a directory that every user can enter, run as another user, or install setpriv (util-linux)"
        )
    # CAP_DAC_OVERRIDE opens closed directories and programs that were installed under a strict umask. Containers leave
    # it to root by default. Changing the directories' permissions instead would let everybody in, for good.
    # PostgreSQL checks its own programs with `access()`, which respects the capability only with no_setuid_fixup.
    command_prefix = (
        setpriv,
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
        "--",
    )
    return PostgresAccount(uid, gid, command_prefix)


def _unprivileged_user() -> tuple[int, int]:
    for name in _UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedStackError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED_USERS)}: run as another user"
    )


def _first_closed(paths: Iterable[Path], uid: int, gid: int) -> Path | None:
    """The first path that the account has no execute permission for, judged by permission bits alone."""
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
