"""The command ``mmreg``. One file per command; each is imported when it is asked for.

Exit codes:

====  ===========================================================================================
0     done; the verdict is pass or review
1     a bug in mmreg (``--debug`` shows where)
2     the command line is wrong
3     an input or a path cannot be used: missing, damaged, no overlap, not writable
4     the model cannot be used
5     the device, CPU target, backend or extra asked for is not there
6     the deadline was reached: the best finished stage is written and marked ``degraded``
7     low confidence: the verdict is fail, or no result could be reached
130   interrupted; 143 by SIGTERM, 129 by SIGHUP
====  ===========================================================================================
"""

from __future__ import annotations

from .group import main

__all__ = ["main"]
