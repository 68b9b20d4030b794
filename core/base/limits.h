/* limits.h: every maximum that is not the RFCs', with its reason and what it must stand to the
 * others.
 *
 * Compile-time maxima bound the run-time options (server.h), whose defaults are here too. The
 * anchors are what others settled on after being hurt: SECURITY.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_BASE_LIMITS_H
#define FW_BASE_LIMITS_H

#include <assert.h>

/* A message of a client's, one frame or many. 64 KiB is what a feed's client needs; 1 GiB fits the
 * 32-bit lengths of the output queue with room to spare. */
#define FW_MESSAGE_BYTES_DEFAULT 65536u
#define FW_MESSAGE_BYTES_MAX     (1u << 30)

/* Frames of one message, empty ones counted: ws's CVE of 2026 was millions of them. */
#define FW_FRAGMENTS_DEFAULT 128u

/* A published body, by POST or from the program. */
#define FW_PUBLISH_BYTES_DEFAULT (1u << 20)

/* What one connection may owe its peer before the slow-consumer policy acts (hard), and where we
 * stop reading from it (soft): Redis cuts at 8 to 32 MB, Envoy buffers 32 KiB. */
#define FW_OUTPUT_BYTES_DEFAULT (1u << 20)
#define FW_OUTPUT_SOFT_BYTES    (256u * 1024)
#define FW_OUTPUT_BYTES_MIN     4096u
static_assert(FW_OUTPUT_SOFT_BYTES < FW_OUTPUT_BYTES_DEFAULT,
              "reading stops before the policy acts");

/* A consumer that owes its reading of a quarter of its budget for so long is too slow, too. */
#define FW_SLOW_MS 10000u

/* Pings and pongs of one peer, a second; twice as many at once. ws 8.23.0 was floods of them; the
 * public conformance suite sends ten in one write. */
#define FW_CONTROL_RATE_DEFAULT 10u
#define FW_CONTROL_RATE_MAX     1000u

/* A topic's name, and the topics of one connection, of one server. */
#define FW_TOPIC_NAME_BYTES_MAX 128u
#define FW_SUBSCRIPTIONS_MAX    128u
#define FW_TOPICS_DEFAULT       65536u
#define FW_TOPIC_SETTINGS_MAX   1024u

/* History: of a topic, and of all topics together. */
#define FW_HISTORY_COUNT_DEFAULT  64u
#define FW_HISTORY_COUNT_MAX      (1u << 24)
#define FW_HISTORY_BYTES_DEFAULT  (1u << 20)
#define FW_HISTORY_AGE_MS_DEFAULT 300000u
#define FW_HISTORY_AGE_MS_MAX     604800000u /* a week: its clock has 32 bits of ms */
#define FW_HISTORY_TOTAL_DEFAULT  ((uint64_t)256 << 20)

/* A page of history, of one subscriber: Centrifugo's messages, and as many bytes as are joined to
 * one piece. The pages of a turn, of all subscribers: a few ms of copying and sending. */
#define FW_PAGE_MESSAGES_MAX       300u
#define FW_PAGE_BYTES_MAX          ((size_t)64 * 1024)
#define FW_PAGES_PER_TURN_MAX      128u
#define FW_PAGE_BYTES_PER_TURN_MAX ((size_t)2 << 20)

/* A batch of POST /publish, and what one line of it, or a command, may nest. */
#define FW_BATCH_LINES_MAX 10000u
#define FW_JSON_DEPTH_MAX  8u

/* Memory ceiling (security.md's watermarks, percent of --memory-max), and how far the use must fall
 * below a mark to have left it. A look at them every 250 ms, and five times as often at the last.
 */
#define FW_MEMORY_SHRINK_PERCENT 80u
#define FW_MEMORY_HOLD_PERCENT   85u
#define FW_MEMORY_REFUSE_PERCENT 90u
#define FW_MEMORY_CUT_PERCENT    95u
#define FW_MEMORY_LEAVE_PERCENT  2u
#define FW_MEMORY_LOOK_MS        250u
#define FW_MEMORY_LOOK_FAST_MS   50u
#define FW_MEMORY_MIN            ((uint64_t)32 << 20)
static_assert(FW_MEMORY_SHRINK_PERCENT < FW_MEMORY_HOLD_PERCENT &&
                  FW_MEMORY_HOLD_PERCENT < FW_MEMORY_REFUSE_PERCENT &&
                  FW_MEMORY_REFUSE_PERCENT < FW_MEMORY_CUT_PERCENT && FW_MEMORY_CUT_PERCENT < 100,
              "the marks rise");

/* Who takes nothing for so long of what it is owed goes first when memory is short. */
#define FW_RELIEF_STALL_MS 2000u

/* How long a long poll waits, and what a cut event stream waits before it comes back. */
#define FW_POLL_MS       25000u
#define FW_SSE_RETRY_MS  1000u
#define FW_POLL_PAGE_MAX FW_PAGE_MESSAGES_MAX

/* Times, ms. The handshake's is absolute from the accept: a dripped head does not extend it. */
#define FW_HANDSHAKE_MS_DEFAULT 5000u
#define FW_BODY_MS              10000u
#define FW_AUTHORIZE_MS_DEFAULT 5000u
#define FW_KEEP_ALIVE_IDLE_MS   15000u
#define FW_PING_MS_DEFAULT      25000u
#define FW_PONG_MS_DEFAULT      10000u
#define FW_PING_SLACK_MS        200u /* heard so shortly after the timer was due counts as silent */
#define FW_CLOSE_MS             5000u
#define FW_LINGER_MS            1000u
#define FW_TIMEOUT_MS_MAX       3600000u
#define FW_RETRY_MS_MIN         1000u /* a restart takes about that */
#define FW_RETRY_MS_MAX         30000u
static_assert(FW_LINGER_MS <= FW_CLOSE_MS, "a failed connection goes before a polite one");

/* What one publisher may have waiting in a worker's mailbox: beyond it publish says busy. */
#define FW_MAILBOX_BYTES_MAX (64u << 20)

/* Threads of one server: 51 rings of 20,000 make a million where RLIMIT_NOFILE is low. */
#define FW_WORKERS_MAX   256u
#define FW_LISTENERS_MAX 16u

/* Receive memory of a worker: few buffers in service, more when they run out. */
#define FW_RECEIVE_BYTES_DEFAULT (4u << 20)

#endif
