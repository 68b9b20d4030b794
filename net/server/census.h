/* census.h: all topics counted, and the busiest of them, for who looks at figures.
 *
 * Few topics are counted when somebody asks. Many are counted by the worker that was asked, some
 * thousand in each of its turns, so that nobody's messages wait for it; meanwhile and later the
 * last count is told, with its time.
 *
 *   NONE --asked--> counted over turns --> there --asked when it is old--> counted anew
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_NET_CENSUS_H
#define FW_NET_CENSUS_H

#include "hub/busiest.h"
#include "net/server/directory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Topics that are looked at in one turn: 250 ns each when none is in a cache. */
#define FW_CENSUS_TOPICS_PER_TURN 4096u
/* How old a count may be before a new one is begun. */
#define FW_CENSUS_AGE_MS 500u

struct fw_census {
    pthread_mutex_t lock; /* of all that is here */
    struct fw_busiest last;
    bool has;    /* `last` is one */
    bool counts; /* a worker is at a new one */
};

/* A worker's part: what it has counted so far. */
struct fw_census_walk {
    struct fw_directory_walk at;
    struct fw_busiest *found; /* NULL: it counts nothing */
};

void fw_census_init(struct fw_census *census);
void fw_census_clear(struct fw_census *census);

/* Tells the last count, and begins another one in the caller's turns when that is old.
 *
 * returns      false when there is none yet: soon there is
 * thread       walk's worker
 */
bool fw_census_ask(struct fw_census *census, struct fw_census_walk *walk,
                   struct fw_directory *directory, uint64_t now_ms, struct fw_busiest *busiest_out);

/* Goes on counting, for a turn's part. Thread: walk's worker. */
void fw_census_step(struct fw_census *census, struct fw_census_walk *walk,
                    struct fw_directory *directory, uint64_t now_ms);

/* The worker ends: what it has begun another one may do. */
void fw_census_leave(struct fw_census *census, struct fw_census_walk *walk);

#endif
