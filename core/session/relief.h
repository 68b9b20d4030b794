/* relief.h: what a session does for a server that runs short of memory.
 *
 * The server says how short (net/server/memory.h), in steps that each add to the one before:
 *
 *   80 % SHRINK      who takes nothing of what it is owed goes after seconds, idle HTTP at once
 *   85 % HOLD        no new subscriptions (up->subscribe refuses), and histories shrink
 *   90 % REFUSE      handshakes are answered 503
 *   95 % CUT         who is owed most goes
 *
 * With each step a connection is read from only while it is owed a quarter as much as before. Who
 * takes what it is owed notices nothing. Thread: the worker's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FW_SESSION_RELIEF_H
#define FW_SESSION_RELIEF_H

#include <stdint.h>

struct fw_session;

enum fw_pressure {
    FW_PRESSURE_NONE,
    FW_PRESSURE_SHRINK,
    FW_PRESSURE_HOLD,
    FW_PRESSURE_REFUSE,
    FW_PRESSURE_CUT,
};
#define FW_PRESSURES 5

/* Who owes how much, by powers of two: owed[k] octets are those of sessions with 2^k and more, less
 * than 2^(k+1). What came of them and waits counts too: it goes with the session. */
#define FW_OWED_CLASSES 32

struct fw_relief {
    uint64_t cut_bytes;                   /* sessions that owe so much or more are ended, */
    uint64_t quota_bytes;                 /* until those have owed so much together */
    uint64_t owed_bytes[FW_OWED_CLASSES]; /* what was found */
    uint64_t input_bytes;                 /* set aside, or of messages that are not whole yet */
    uint64_t ended;
};

/* Ends a session, or not, as the host's pressure and `relief` say, and counts it in. */
void fw_session_relieve(struct fw_session *session, struct fw_relief *relief);

#endif
