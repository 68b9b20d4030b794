/* test_census.c: topics counted over several turns (net/server/census.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/census.h"

#include "base/mem.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define FEW  ((unsigned)FW_CENSUS_TOPICS_PER_TURN)
#define MANY (FEW * 3 + 10)

struct rig {
    struct fw_directory directory;
    struct fw_mailbox box;
    struct fw_mailbox *mailboxes[1];
    struct fw_census census;
    struct fw_census_walk walks[2]; /* of two workers */
    struct fw_busiest told;
    unsigned topics;
};

static struct rig *rig;

static void begin(void)
{
    static const uint64_t random[3] = {1, 2, 3};
    rig = calloc(1, sizeof *rig);
    fw_mailbox_init(&rig->box);
    rig->mailboxes[0] = &rig->box;
    fw_directory_init(&rig->directory, random, 10 * MANY, 1, rig->mailboxes);
    fw_census_init(&rig->census);
}

static void end(void)
{
    for (unsigned i = 0; i < 2; i++)
        fw_census_leave(&rig->census, &rig->walks[i]);
    fw_census_clear(&rig->census);
    fw_directory_clear(&rig->directory);
    free(rig);
}

TestSuite(census, .init = begin, .fini = end);

/* Publishes one message each to new topics, until there are so many. */
static void make_topics(unsigned count)
{
    struct fw_published published;
    uint64_t wake[FW_WORKERS_MAX / 64];
    char name[16];
    struct fw_msg *msg = fw_msg_create(1, fw_bytes_of("x"));
    for (; rig->topics < count; rig->topics++) {
        sprintf(name, "t%u", rig->topics);
        cr_assert_eq(
            fw_directory_publish(&rig->directory, fw_bytes_of(name), msg, 1000, wake, &published),
            0);
    }
    fw_msg_drop(msg);
}

static bool ask(unsigned worker, uint64_t now_ms)
{
    return fw_census_ask(&rig->census, &rig->walks[worker], &rig->directory, now_ms, &rig->told);
}

/* Turns of a worker until it counts nothing. */
static unsigned step(unsigned worker, uint64_t now_ms)
{
    unsigned turns = 0;
    for (; rig->walks[worker].found != NULL; turns++)
        fw_census_step(&rig->census, &rig->walks[worker], &rig->directory, now_ms);
    return turns;
}

Test(census, tells_few_topics_at_once)
{
    make_topics(FEW);
    cr_assert(ask(0, 7777));
    cr_assert_eq(rig->told.all, FEW);
    cr_assert_eq(rig->told.at_ms, 7777u);
    cr_assert_null(rig->walks[0].found);
    make_topics(FEW + 1);
    cr_assert_not(ask(0, 7778));
}

Test(census, counts_many_over_several_turns_and_then_tells_them)
{
    make_topics(MANY);
    cr_assert_not(ask(0, 1000));
    cr_assert_not(ask(0, 1001), "not yet");
    cr_assert_eq(step(0, 1234), 4u);
    cr_assert(ask(0, 1300));
    cr_assert_eq(rig->told.all, MANY);
    cr_assert_eq(rig->told.messages, MANY);
    cr_assert_eq(rig->told.at_ms, 1234u, "the time of the count");
    cr_assert_null(rig->walks[0].found, "it is young");
}

Test(census, counts_anew_when_the_last_is_old_and_tells_that_meanwhile)
{
    make_topics(MANY);
    ask(0, 1000);
    step(0, 1000);
    make_topics(MANY + 5);
    cr_assert(ask(0, 1000 + FW_CENSUS_AGE_MS - 1));
    cr_assert_null(rig->walks[0].found);
    cr_assert(ask(0, 1000 + FW_CENSUS_AGE_MS));
    cr_assert_eq(rig->told.all, MANY);
    cr_assert_not_null(rig->walks[0].found);
    step(0, 1600);
    cr_assert(ask(0, 1601));
    cr_assert_eq(rig->told.all, MANY + 5);
}

Test(census, is_taken_by_one_worker_at_a_time)
{
    make_topics(MANY);
    cr_assert_not(ask(0, 1000));
    cr_assert_not(ask(1, 1000));
    cr_assert_null(rig->walks[1].found, "the other one is at it");
    fw_census_leave(&rig->census, &rig->walks[0]);
    cr_assert_not(ask(1, 1001));
    cr_assert_not_null(rig->walks[1].found, "which has ended");
    step(1, 1002);
    cr_assert(ask(0, 1003));
    cr_assert_eq(rig->told.all, MANY);
}

Test(census, without_memory_is_begun_by_a_later_question)
{
    make_topics(MANY);
    fail_mem_at(1, FAIL_ONCE);
    cr_assert_not(ask(0, 1000));
    cr_assert(fail_mem_off());
    cr_assert_null(rig->walks[0].found);
    cr_assert_not(ask(0, 1000));
    cr_assert_not_null(rig->walks[0].found);
}
