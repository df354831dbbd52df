"""How much memory there is, so that nothing is begun for which it is too small.

Imports nothing heavy. Linux gives more memory than it has, and kills who uses it.
"""

import contextlib
import math
import os
from pathlib import Path

from tf_gen.errors import UserError


def available():
    """Bytes of memory that this process can have: a float, infinite where nothing tells."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # Linux: without what other processes hold
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of a container
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return float(min(found))


def check(size, what):
    """Raise a UserError that begins with `what` if there are no `size` bytes of memory."""
    if size > (most := available()):
        raise UserError(f"{what}: needs {size:,} bytes of memory, but {most:,.0f} are available")
