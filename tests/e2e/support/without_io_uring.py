#!/usr/bin/python3
"""without_io_uring.py: runs a program to which io_uring is forbidden, as in many containers.

    without_io_uring.py PROGRAM ARGUMENT...

A seccomp filter answers io_uring_setup, io_uring_enter and io_uring_register with EPERM. Needs no
privilege and touches nothing but the program that it becomes.

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000

# The same numbers on every architecture.
IO_URING_SETUP = 425
IO_URING_REGISTER = 427

BPF_LD_W_ABS = 0x20
BPF_JMP_JGE_K = 0x35
BPF_JMP_JGT_K = 0x25
BPF_RET_K = 0x06


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def forbid_io_uring():
    def instruction(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    code = ctypes.create_string_buffer(
        instruction(BPF_LD_W_ABS, 0, 0, 0)  # the system call's number
        + instruction(BPF_JMP_JGE_K, 0, 2, IO_URING_SETUP)
        + instruction(BPF_JMP_JGT_K, 1, 0, IO_URING_REGISTER)
        + instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM)
        + instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW)
    )
    program = Program(5, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit(f"without_io_uring: {os.strerror(ctypes.get_errno())}")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"without_io_uring: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    forbid_io_uring()
    os.execvp(sys.argv[1], sys.argv[1:])
