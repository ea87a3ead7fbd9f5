"""Cuts the power of a mounted ext4 once it is told to: what was not synced is gone, and nothing can be written or read any more.

usage: power_cut.py DIRECTORY, then a line on standard input when it has said that it is ready
"""

import fcntl
import os
import struct
import sys

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)

directory = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
sys.stdin.readline()
fcntl.ioctl(directory, FS_IOC_SHUTDOWN, NO_LOG_FLUSH)
