/* fail_mem.c: see fail_mem.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/fail_mem.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* More than any path of ours allocates: a loop that gets here does not end by itself. */
#define ROUNDS_MAX 100000u

static atomic_uint counted;
static atomic_bool happened;
static unsigned fails_at;
static enum fail_mem_mode fails_how;

static int may_allocate(size_t bytes)
{
    (void)bytes;
    unsigned number = atomic_fetch_add(&counted, 1) + 1;
    bool fails = number == fails_at || (number > fails_at && fails_how == FAIL_FROM_ON);
    if (fails)
        atomic_store(&happened, true);
    return !fails;
}

void fail_mem_at(unsigned k, enum fail_mem_mode mode)
{
    if (k == 0 || k > ROUNDS_MAX) {
        fprintf(stderr, "fail_mem: round %u: the path never gets through\n", k);
        abort();
    }
    fails_at = k;
    fails_how = mode;
    atomic_store(&counted, 0);
    atomic_store(&happened, false);
    fw_mem_hook(may_allocate);
}

bool fail_mem_off(void)
{
    fw_mem_hook(NULL);
    return atomic_load(&happened);
}
