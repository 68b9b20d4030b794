/* guard_buf.c: memory with an unreadable page on either side.
 *
 *     map          pages                         pages + pages_bytes
 *     | PROT_NONE  | read, write            ...  | PROT_NONE |
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/guard_buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    abort();
}

void guard_buf_init(struct guard_buf *guard, size_t bytes_max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t wanted = bytes_max == 0 ? 1 : bytes_max;
    guard->pages_bytes = (wanted + page - 1) / page * page;
    guard->map_bytes = guard->pages_bytes + 2 * page;
    void *map =
        mmap(NULL, guard->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        die("guard_buf: mmap");
    guard->map = map;
    guard->pages = guard->map + page;
    if (mprotect(guard->pages, guard->pages_bytes, PROT_READ | PROT_WRITE) != 0)
        die("guard_buf: mprotect");
}

void guard_buf_clear(struct guard_buf *guard)
{
    if (munmap(guard->map, guard->map_bytes) != 0)
        die("guard_buf: munmap");
    memset(guard, 0, sizeof *guard);
}

static uint8_t *place(uint8_t *at, const void *from, size_t bytes)
{
    if (from != NULL && bytes > 0)
        memcpy(at, from, bytes);
    return at;
}

static void fits_or_die(const struct guard_buf *guard, size_t bytes)
{
    if (bytes > guard->pages_bytes) {
        fprintf(stderr, "guard_buf: %zu octets do not fit in %zu\n", bytes, guard->pages_bytes);
        abort();
    }
}

uint8_t *guard_buf_at_end(struct guard_buf *guard, const void *from, size_t bytes)
{
    fits_or_die(guard, bytes);
    return place(guard->pages + guard->pages_bytes - bytes, from, bytes);
}

uint8_t *guard_buf_at_start(struct guard_buf *guard, const void *from, size_t bytes)
{
    fits_or_die(guard, bytes);
    return place(guard->pages, from, bytes);
}

static struct guard_buf pair[2];

void guard_pair_init(void)
{
    guard_buf_init(&pair[0], GUARD_PAIR_BYTES_MAX);
    guard_buf_init(&pair[1], GUARD_PAIR_BYTES_MAX);
}

void guard_pair_clear(void)
{
    guard_buf_clear(&pair[0]);
    guard_buf_clear(&pair[1]);
}

uint8_t *guard_pair_show(const void *from, size_t bytes)
{
    static unsigned turn;
    return guard_buf_at_end(&pair[turn++ % 2], from, bytes);
}
