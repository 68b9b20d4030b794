/* in_child.h: what ends the program, run in a child: how it ended, and what it said.
 *
 * thread: the test's
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_SUPPORT_IN_CHILD_H
#define TESTS_SUPPORT_IN_CHILD_H

#include <stddef.h>

/* Runs a function in a child process.
 *
 * said_out     what the child wrote to stderr, terminated; room for said_bytes
 * returns      its exit code, 0 when the function returned; -1 when a signal ended it
 */
int in_child(void (*function)(void *argument), void *argument, char *said_out, size_t said_bytes);

#endif
