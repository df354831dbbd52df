"""How much memory there is, so that a command does not start work that will not fit.

This check is needed since Linux grants more memory than it has, and kills the process that uses it.
"""

import contextlib
import math
import os
from pathlib import Path

from tf_gen.errors import UserError


def available():
    """Bytes of memory that this process can get: a float, infinite if it cannot be determined."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # Linux: not counting other processes' memory
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # the limit of a container
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return float(min(found))


def check(size, what):
    """Raise a UserError that begins with `what` if `size` bytes of memory are not available."""
    if size > (most := available()):
        raise UserError(f"{what}: needs {size:,} bytes of memory, but {most:,.0f} are available")
