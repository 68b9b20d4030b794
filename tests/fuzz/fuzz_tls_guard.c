/* fuzz_tls_guard.c: libFuzzer target of the guard before wolfSSL (net/tls/tls_guard.h).
 *
 *   octets 0, 1    what the handshake may have, in octets times 8
 *   then           records: a header of 5 octets, and what happens with it: bit 0: the handshake is
 *                  done (TLS 1.3; with bit 1, 1.2); bit 2: it brought data, the further bits' worth
 *
 * The oracle: a table of what may come when, and sums that no sequence may pass: octets of the
 * handshake; records without data, less what those with data paid for. Who pays for each record is
 * never taken for a flood, and a refusal costs nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_guard.h"
#include "fuzz/target.h"
#include "net/tls/tls.h"

#define STEP_BYTES 6

/* What has passed so far. */
struct sums {
    uint64_t handshake_bytes;
    uint64_t records; /* after the handshake */
    uint64_t paid_records;
    uint64_t paid_bytes;
    bool all_paid;
};

/* Whether a record of the type may come at all in a phase. */
static bool may_come(enum fw_tls_phase phase, uint8_t type)
{
    switch (phase) {
    case FW_TLS_PHASE_HANDSHAKE:
        return type >= 20 && type <= 23;
    case FW_TLS_PHASE_OPEN_12:
        return type == 21 || type == 23;
    case FW_TLS_PHASE_OPEN_13:
        return type == 23;
    }
    return false;
}

static bool well_formed(const uint8_t *header, size_t body_bytes)
{
    size_t least = header[0] == 23 ? 17 : 1;
    return header[1] == 3 && header[2] <= 4 && body_bytes >= least && body_bytes <= 16384 + 256;
}

static bool is_refusal(ssize_t result)
{
    static const int refusals[] = {FW_ERR_TLS_RECORD,        FW_ERR_TLS_RECORD_TOO_LARGE,
                                   FW_ERR_TLS_EMPTY_RECORD,  FW_ERR_TLS_HANDSHAKE_TOO_LARGE,
                                   FW_ERR_TLS_RENEGOTIATION, FW_ERR_TLS_FLOOD};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (result == refusals[i])
            return true;
    }
    return false;
}

/* Holds a verdict against the sums before it. */
static void judge(ssize_t result, enum fw_tls_phase phase, const uint8_t *header,
                  const struct sums *sums, uint64_t handshake_max)
{
    size_t body_bytes = (size_t)header[3] << 8 | header[4];
    size_t bytes = FW_TLS_RECORD_HEADER_BYTES + body_bytes;
    bool good = may_come(phase, header[0]) && well_formed(header, body_bytes);
    if (!good) {
        require(is_refusal(result) && result != FW_ERR_TLS_FLOOD &&
                    result != FW_ERR_TLS_HANDSHAKE_TOO_LARGE,
                "what may not come is refused for that");
        return;
    }
    if (phase == FW_TLS_PHASE_HANDSHAKE) {
        bool fits = sums->handshake_bytes + bytes <= handshake_max;
        require(result == (fits ? (ssize_t)bytes : FW_ERR_TLS_HANDSHAKE_TOO_LARGE),
                "the handshake's octets");
        return;
    }
    uint64_t unpaid = sums->records - sums->paid_records;
    require(result == (ssize_t)bytes || result == FW_ERR_TLS_FLOOD, "after the handshake");
    require(result < 0 || unpaid < FW_TLS_DRY_RECORDS_MAX + sums->paid_bytes / FW_TLS_DRY_BYTES,
            "a flood is one");
    require(result > 0 || !sums->all_paid, "who pays for each is no flood");
    require(result > 0 || unpaid >= FW_TLS_DRY_RECORDS_MAX, "so many are borne always");
}

static void count_record(struct sums *sums, struct fw_tls_guard *guard, enum fw_tls_phase phase,
                         ssize_t bytes, uint8_t what)
{
    if (phase == FW_TLS_PHASE_HANDSHAKE) {
        sums->handshake_bytes += (uint64_t)bytes;
        return;
    }
    bool paid = (what & 4) != 0;
    size_t plain_bytes = 1 + ((size_t)(what >> 3) << 9);
    sums->records++;
    sums->all_paid = sums->all_paid && paid;
    if (!paid)
        return;
    sums->paid_records++;
    sums->paid_bytes += plain_bytes;
    fw_tls_guard_paid(guard, plain_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fw_tls_guard guard;
    struct sums sums = {.all_paid = true};
    enum fw_tls_phase phase = FW_TLS_PHASE_HANDSHAKE;
    if (size < 2 + STEP_BYTES)
        return -1;
    uint32_t handshake_max = (uint32_t)(data[0] << 8 | data[1]) * 8;
    fw_tls_guard_init(&guard, handshake_max);
    for (size_t at = 2; at + STEP_BYTES <= size; at += STEP_BYTES) {
        const struct fw_tls_guard before = guard;
        uint8_t what = data[at + 5];
        if (phase == FW_TLS_PHASE_HANDSHAKE && (what & 1))
            phase = what & 2 ? FW_TLS_PHASE_OPEN_12 : FW_TLS_PHASE_OPEN_13;
        uint8_t *header = block_of(data + at, FW_TLS_RECORD_HEADER_BYTES);
        ssize_t result = fw_tls_guard_record(&guard, phase, header);
        judge(result, phase, header, &sums, handshake_max);
        free(header);
        if (result > 0)
            count_record(&sums, &guard, phase, result, what);
        else
            require(memcmp(&before, &guard, sizeof guard) == 0, "a refusal costs nothing");
    }
    return 0;
}
