/* resume.c: subscribers that are behind: page after page of the history, until they are live.
 *
 * A session that is behind waits in its host's list. A turn takes some off, hands each one page, as
 * one share, and lets it wait for its queue to be empty (fw_session_drained) before it stands in
 * the list again: nobody is given more than it takes, and ten thousand that come back at once are
 * spread over turns. Those at the same position share the page that was made for the first of
 * them.
 *
 *   subscribed in the past --> in the list --page--> waits for its queue --drained--> in the list
 *                                            |
 *                                            +--the newest message was in it--> live
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/session_impl.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <fanwire/status.h>

#define LIST_START 64u

/* A page that was made in this turn. */
struct fw_session_page {
    struct fw_topic *topic; /* NULL: none */
    struct fw_share *share;
    uint64_t from;
    uint64_t next;
    unsigned encoding;
};

/* What a turn may still do. */
struct allowance {
    uint32_t pages;
    size_t bytes;
};

/* ---- the list -------------------------------------------------------------------------------- */

/* Puts a session into the list; without memory it is ended. */
static void wait_for_page(struct fw_session *session)
{
    struct fw_session_host *host = session->host;
    if (session->resuming_at != 0)
        return;
    if (host->resuming_count == host->resuming_capacity) {
        uint32_t wanted = host->resuming_capacity == 0 ? LIST_START : host->resuming_capacity * 2;
        struct fw_session **grown =
            fw_mem_resize(host->resuming, wanted * sizeof(struct fw_session *));
        if (grown == NULL) {
            fw_session_finish(session, FW_END_ABORT);
            return;
        }
        host->resuming = grown;
        host->resuming_capacity = wanted;
    }
    host->resuming[host->resuming_count++] = session;
    session->resuming_at = host->resuming_count;
}

void fw_session_stop_resuming(struct fw_session *session)
{
    struct fw_session_host *host = session->host;
    if (session->resuming_at == 0)
        return;
    struct fw_session *last = host->resuming[--host->resuming_count];
    host->resuming[session->resuming_at - 1] = last;
    last->resuming_at = session->resuming_at;
    session->resuming_at = 0;
}

/* A subscription that is behind, or NULL. */
static struct fw_subscription *behind_of(struct fw_session *session)
{
    for (unsigned i = 0; i < session->subscriptions_count; i++) {
        if (session->subscriptions[i].state == FW_SUBSCRIPTION_BEHIND)
            return &session->subscriptions[i];
    }
    return NULL;
}

void fw_session_resume(struct fw_session *session)
{
    session->resumes = behind_of(session) != NULL;
    if (session->resumes)
        wait_for_page(session);
}

void fw_session_host_clear(struct fw_session_host *host)
{
    fw_assert(host->resuming_count == 0);
    fw_mem_free(host->resuming);
    host->resuming = NULL;
    host->resuming_capacity = 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void forget_page(struct fw_session_page *page)
{
    if (page->topic != NULL)
        fw_share_drop(page->share);
    page->topic = NULL;
}

/* Hands over the page that another session was handed in this turn, if it is the same.
 *
 * returns      whether it was
 */
static bool share_page(struct fw_session *session, struct fw_subscription *subscription,
                       const struct fw_session_page *page, struct allowance *allowance)
{
    if (page->topic != subscription->local->topic || page->from != subscription->next ||
        page->encoding != subscription->encoding || subscription->singly)
        return false;
    allowance->bytes -=
        page->share->bytes_count < allowance->bytes ? page->share->bytes_count : allowance->bytes;
    fw_session_count_delivered(session, page->topic, page->share->messages_count);
    session->host->up->reached(session, subscription, page->next);
    fw_session_deliver(subscription, page->share);
    return true;
}

/* Makes a share of messages, keeps it as the turn's page, and hands it over. */
static void deliver_page(struct fw_session *session, struct fw_subscription *subscription,
                         struct fw_msg *const *msgs, size_t msgs_count, uint64_t from,
                         struct fw_session_page *page, struct allowance *allowance)
{
    uint64_t next = subscription->next;
    struct fw_topic *topic = subscription->local->topic;
    fw_session_count_delivered(session, topic, msgs_count);
    if (subscription->singly) {
        fw_session_deliver_msgs(subscription, msgs, msgs_count);
        return;
    }
    struct fw_share *share =
        fw_hub_share(session->host->hub, msgs, msgs_count, subscription->encoding);
    if (share == NULL)
        fw_topic_withdraw(topic, (uint32_t)msgs_count, false);
    fw_session_deliver(subscription, share);
    if (share == NULL)
        return;
    allowance->bytes -=
        share->bytes_count < allowance->bytes ? share->bytes_count : allowance->bytes;
    forget_page(page);
    *page = (struct fw_session_page){.topic = topic,
                                     .share = share,
                                     .from = from,
                                     .next = next,
                                     .encoding = subscription->encoding};
}

static void take_page(struct fw_session *session, struct fw_subscription *subscription,
                      struct fw_session_page *page, struct allowance *allowance)
{
    struct fw_msg *msgs[FW_PAGE_MESSAGES_MAX];
    if (share_page(session, subscription, page, allowance))
        return;
    struct fw_taken taken;
    uint64_t wanted = subscription->next;
    size_t count = session->host->up->page(session, subscription, msgs, &taken);
    if (taken.missed > 0)
        fw_session_tell_gap(subscription, wanted + taken.missed - 1);
    if (count > 0)
        deliver_page(session, subscription, msgs, count, wanted + taken.missed, page, allowance);
    for (size_t i = 0; i < count; i++)
        fw_msg_drop(msgs[i]);
}

void fw_session_catch_up(struct fw_session_host *host)
{
    struct fw_session_page page = {0};
    struct allowance allowance = {FW_PAGES_PER_TURN_MAX, FW_PAGE_BYTES_PER_TURN_MAX};
    while (host->resuming_count > 0 && allowance.pages > 0 && allowance.bytes > 0) {
        if (host->resuming_next >= host->resuming_count)
            host->resuming_next = 0;
        /* The last of the list takes its place, and its turn. */
        struct fw_session *session = host->resuming[host->resuming_next];
        fw_session_stop_resuming(session);
        struct fw_subscription *subscription = behind_of(session);
        if (subscription == NULL || session->phase == FW_PHASE_DONE)
            continue;
        allowance.pages--;
        take_page(session, subscription, &page, &allowance);
        session->resumes = behind_of(session) != NULL;
        host->up->changed(session);
    }
    forget_page(&page);
}

void fw_session_deliver_msgs(struct fw_subscription *subscription, struct fw_msg *const *msgs,
                             size_t msgs_count)
{
    struct fw_session *session = subscription->subscriber;
    if (subscription->singly) {
        fw_session_deliver_singly(session, subscription, msgs, msgs_count);
        return;
    }
    struct fw_share *share =
        fw_hub_share(session->host->hub, msgs, msgs_count, subscription->encoding);
    if (share == NULL)
        fw_topic_withdraw(subscription->local->topic, (uint32_t)msgs_count, false);
    fw_session_deliver(subscription, share);
    if (share != NULL)
        fw_share_drop(share);
}
