"""suite: the parts of tests/attack/run.

SPDX-License-Identifier: Apache-2.0
"""
