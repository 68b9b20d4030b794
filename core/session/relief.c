/* relief.c: see relief.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session/relief.h"
#include "base/limits.h"
#include "session/session_impl.h"

/* What a session makes us keep for its peer: bytes, shared or not, and the places they stand in. */
static uint64_t owed_of(const struct fw_session *session)
{
    return session->outq.queued_bytes + fw_outq_block_bytes(&session->outq);
}

static uint64_t input_of(const struct fw_session *session)
{
    uint64_t bytes = session->held == NULL ? 0 : sizeof *session->held + session->held->block_bytes;
    if (session->upgraded)
        bytes += fw_ws_decoder_heap_bytes(&session->in.decoder);
    return bytes;
}

static unsigned class_of(uint64_t bytes)
{
    unsigned class = 63 - (unsigned)__builtin_clzll(bytes);
    return class < FW_OWED_CLASSES ? class : FW_OWED_CLASSES - 1;
}

static bool is_idle_http(const struct fw_session *session)
{
    return session->phase == FW_PHASE_HTTP && session->in.pending == NULL &&
           fw_outq_empty(&session->outq);
}

void fw_session_relieve(struct fw_session *session, struct fw_relief *relief)
{
    const struct fw_session_host *host = session->host;
    if (session->phase == FW_PHASE_DONE)
        return;
    uint64_t input = input_of(session);
    uint64_t owed = owed_of(session) + input;
    uint32_t silent_ms = (uint32_t)host->now_ms - session->active_ms;
    bool stands = session->blocked && silent_ms >= FW_RELIEF_STALL_MS;
    relief->input_bytes += input;
    if (owed > 0)
        relief->owed_bytes[class_of(owed)] += owed;
    bool cut = owed >= relief->cut_bytes && relief->quota_bytes > 0;
    if (cut)
        relief->quota_bytes -= owed < relief->quota_bytes ? owed : relief->quota_bytes;
    if (cut || (host->pressure >= FW_PRESSURE_SHRINK && stands)) {
        relief->ended++;
        fw_session_end_slow(session, "the server is short of memory");
    } else if (host->pressure >= FW_PRESSURE_SHRINK && is_idle_http(session) &&
               silent_ms >= FW_RELIEF_STALL_MS) {
        relief->ended++;
        fw_session_finish(session, FW_END_CLOSE);
    }
}
