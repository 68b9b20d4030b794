/* census.c: see census.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/census.h"

#include "base/mem.h"

void fw_census_init(struct fw_census *census)
{
    census->has = false;
    census->counts = false;
    pthread_mutex_init(&census->lock, NULL);
}

void fw_census_clear(struct fw_census *census)
{
    pthread_mutex_destroy(&census->lock);
}

static void count_at_once(struct fw_directory *directory, uint64_t now_ms,
                          struct fw_busiest *busiest_out)
{
    struct fw_directory_walk walk = {.shard = 0};
    fw_busiest_init(busiest_out);
    while (!fw_directory_walk(directory, &walk, FW_CENSUS_TOPICS_PER_TURN, busiest_out))
        continue;
    busiest_out->at_ms = now_ms;
}

/* Without memory for it the last count is told again. */
static bool begin(struct fw_census_walk *walk)
{
    struct fw_busiest *found = fw_mem_alloc(sizeof *found);
    if (found == NULL)
        return false;
    fw_busiest_init(found);
    *walk = (struct fw_census_walk){.found = found};
    return true;
}

bool fw_census_ask(struct fw_census *census, struct fw_census_walk *walk,
                   struct fw_directory *directory, uint64_t now_ms, struct fw_busiest *busiest_out)
{
    if (fw_directory_count(directory) <= FW_CENSUS_TOPICS_PER_TURN) {
        count_at_once(directory, now_ms, busiest_out);
        return true;
    }
    pthread_mutex_lock(&census->lock);
    bool has = census->has;
    if (has)
        *busiest_out = census->last;
    bool old = !has || now_ms >= census->last.at_ms + FW_CENSUS_AGE_MS;
    if (old && !census->counts)
        census->counts = begin(walk);
    pthread_mutex_unlock(&census->lock);
    return has;
}

void fw_census_step(struct fw_census *census, struct fw_census_walk *walk,
                    struct fw_directory *directory, uint64_t now_ms)
{
    if (!fw_directory_walk(directory, &walk->at, FW_CENSUS_TOPICS_PER_TURN, walk->found))
        return;
    walk->found->at_ms = now_ms;
    pthread_mutex_lock(&census->lock);
    census->last = *walk->found;
    census->has = true;
    pthread_mutex_unlock(&census->lock);
    fw_census_leave(census, walk);
}

void fw_census_leave(struct fw_census *census, struct fw_census_walk *walk)
{
    if (walk->found == NULL)
        return;
    fw_mem_free(walk->found);
    walk->found = NULL;
    pthread_mutex_lock(&census->lock);
    census->counts = false;
    pthread_mutex_unlock(&census->lock);
}
