/* test_tls_guard.c: which records may reach wolfSSL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls.h"
#include "net/tls/tls_guard.h"
#include "support/guard_buf.h"

#include <criterion/criterion.h>

enum { H = FW_TLS_PHASE_HANDSHAKE, O12 = FW_TLS_PHASE_OPEN_12, O13 = FW_TLS_PHASE_OPEN_13 };

static const struct {
    int phase;
    uint8_t header[5];
    int expected; /* the record's bytes, or the error */
} records[] = {
    /* RFC 8446, section 5.1: types, version, lengths */
    {H, {22, 3, 1, 0, 1}, 6},
    {H, {22, 3, 3, 0, 200}, 205},
    {H, {20, 3, 3, 0, 1}, 6},
    {H, {21, 3, 3, 0, 2}, 7},
    {H, {23, 3, 3, 0, 17}, 22},
    {H, {19, 3, 3, 0, 17}, FW_ERR_TLS_RECORD},
    {H, {24, 3, 3, 0, 17}, FW_ERR_TLS_RECORD},   /* heartbeat */
    {H, {0x80, 46, 1, 3, 1}, FW_ERR_TLS_RECORD}, /* SSLv2 */
    {H, {22, 2, 0, 0, 1}, FW_ERR_TLS_RECORD},
    {H, {22, 3, 5, 0, 1}, FW_ERR_TLS_RECORD},
    {H, {22, 4, 0, 0, 1}, FW_ERR_TLS_RECORD},
    /* section 5.1: no fragments of length 0 but of application data; section 5.2: 2^14 + 256 */
    {H, {22, 3, 3, 0, 0}, FW_ERR_TLS_EMPTY_RECORD},
    {H, {21, 3, 3, 0, 0}, FW_ERR_TLS_EMPTY_RECORD},
    {H, {20, 3, 3, 0, 0}, FW_ERR_TLS_EMPTY_RECORD},
    {O13, {23, 3, 3, 0x41, 0x00}, 16384 + 256 + 5},
    {O13, {23, 3, 3, 0x41, 0x01}, FW_ERR_TLS_RECORD_TOO_LARGE},
    {H, {22, 3, 3, 0xff, 0xff}, FW_ERR_TLS_RECORD_TOO_LARGE},
    /* CVE-2024-0901: a tag and nothing under it */
    {H, {23, 3, 3, 0, 16}, FW_ERR_TLS_EMPTY_RECORD},
    {O12, {23, 3, 3, 0, 16}, FW_ERR_TLS_EMPTY_RECORD},
    {O13, {23, 3, 3, 0, 16}, FW_ERR_TLS_EMPTY_RECORD},
    {O13, {23, 3, 3, 0, 0}, FW_ERR_TLS_EMPTY_RECORD},
    {O13, {23, 3, 3, 0, 17}, 22},
    /* after the handshake */
    {O13, {21, 3, 3, 0, 2}, FW_ERR_TLS_RECORD}, /* a plaintext alert, forged or not */
    {O13, {20, 3, 3, 0, 1}, FW_ERR_TLS_RECORD},
    {O13, {22, 3, 3, 0, 60}, FW_ERR_TLS_RENEGOTIATION},
    {O12, {22, 3, 3, 0, 60}, FW_ERR_TLS_RENEGOTIATION},
    {O12, {21, 3, 3, 0, 26}, 31},
    {O12, {20, 3, 3, 0, 1}, FW_ERR_TLS_RECORD},
};

Test(tls_guard, judges_records_by_their_header)
{
    struct guard_buf guarded;
    guard_buf_init(&guarded, FW_TLS_RECORD_HEADER_BYTES);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct fw_tls_guard guard;
        fw_tls_guard_init(&guard, 100000);
        const uint8_t *header = guard_buf_at_end(&guarded, records[i].header, 5);
        ssize_t got = fw_tls_guard_record(&guard, (enum fw_tls_phase)records[i].phase, header);
        cr_expect_eq(got, records[i].expected, "record %zu: %zd", i, got);
    }
    guard_buf_clear(&guarded);
}

Test(tls_guard, counts_a_handshake_to_its_last_byte)
{
    static const uint8_t record[5] = {22, 3, 3, 0, 95};
    struct fw_tls_guard guard;
    fw_tls_guard_init(&guard, 300);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(fw_tls_guard_record(&guard, FW_TLS_PHASE_HANDSHAKE, record), 100);
    static const uint8_t last[5] = {22, 3, 3, 0, 1};
    cr_expect_eq(fw_tls_guard_record(&guard, FW_TLS_PHASE_HANDSHAKE, last),
                 FW_ERR_TLS_HANDSHAKE_TOO_LARGE);
}

static const uint8_t data[5] = {23, 3, 3, 0, 100};

static unsigned dry_until_refused(struct fw_tls_guard *guard)
{
    unsigned records_count = 0;
    while (fw_tls_guard_record(guard, FW_TLS_PHASE_OPEN_13, data) > 0)
        records_count++;
    return records_count;
}

Test(tls_guard, bears_32_records_without_data)
{
    struct fw_tls_guard guard;
    fw_tls_guard_init(&guard, 0);
    cr_expect_eq(dry_until_refused(&guard), 32u);
    cr_expect_eq(fw_tls_guard_record(&guard, FW_TLS_PHASE_OPEN_13, data), FW_ERR_TLS_FLOOD);
}

Test(tls_guard, lets_data_pay_for_itself_for_ever)
{
    struct fw_tls_guard guard;
    fw_tls_guard_init(&guard, 0);
    for (int i = 0; i < 100000; i++) {
        cr_assert_gt(fw_tls_guard_record(&guard, FW_TLS_PHASE_OPEN_13, data), 0);
        fw_tls_guard_paid(&guard, 1);
    }
    cr_expect_eq(dry_until_refused(&guard), 32u);
}

Test(tls_guard, lets_a_kibibyte_pay_for_one_more)
{
    struct fw_tls_guard guard;
    fw_tls_guard_init(&guard, 0);
    cr_assert_eq(dry_until_refused(&guard), 32u);
    fw_tls_guard_paid(&guard, 1); /* one for itself */
    cr_expect_eq(dry_until_refused(&guard), 1u);
    fw_tls_guard_paid(&guard, 1023 + 4 * 1024); /* itself, and 5120 bytes with the one before */
    cr_expect_eq(dry_until_refused(&guard), 6u);
    fw_tls_guard_paid(&guard, 1 << 20); /* never more than at first */
    cr_expect_eq(dry_until_refused(&guard), 32u);
}

/* One octet of data for each record without: that is refused, too. */
Test(tls_guard, ends_a_flood_that_is_mixed_with_crumbs)
{
    struct fw_tls_guard guard;
    fw_tls_guard_init(&guard, 0);
    unsigned rounds = 0;
    for (; rounds < 1000; rounds++) {
        if (fw_tls_guard_record(&guard, FW_TLS_PHASE_OPEN_13, data) < 0)
            break;
        fw_tls_guard_paid(&guard, 1);
        if (fw_tls_guard_record(&guard, FW_TLS_PHASE_OPEN_13, data) < 0)
            break;
    }
    cr_expect_eq(rounds, 32u, "%u", rounds);
}
