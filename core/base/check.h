/* check.h: asserts that stay on in release, and those that do not.
 *
 * Asserts are for our own mistakes; a peer's mistakes are errors (status.h). fw_assert costs a
 * predicted branch and is for cheap facts; fw_assert_slow walks structures and is compiled only
 * with FW_SLOW_ASSERTS (the dev and tsan presets).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_CHECK_H
#define FW_BASE_CHECK_H

#include <assert.h>

#define FW_LIKELY(x)   __builtin_expect(!!(x), 1)
#define FW_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Keeps a long, rare function out of its caller, whose common way stays short. */
#define FW_APART __attribute__((noinline))

/* Says where and what on stderr and aborts. It lives in check.c. */
_Noreturn void fw_assert_failed(const char *fact, const char *file, int line);

#define fw_assert(fact)                                                                            \
    do {                                                                                           \
        if (FW_UNLIKELY(!(fact)))                                                                  \
            fw_assert_failed(#fact, __FILE__, __LINE__);                                           \
    } while (0)

#ifdef FW_SLOW_ASSERTS
#define fw_assert_slow(fact) fw_assert(fact)
#else
#define fw_assert_slow(fact) ((void)sizeof((fact) ? 1 : 0))
#endif

/* The struct that `pointer`, the address of its `member`, lies in. */
#define fw_container_of(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
