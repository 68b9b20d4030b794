/* test_sim_proxy.c: connections that begin with a PROXY header (net/conn/conn_proxy.h), on the
 * simulator: every place to cut them, and every allocation that fails.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim/sim_rig.h"

#include "net/conn/conn_proxy.h"
#include "support/fail_mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define HEADER_BYTES 28u

static const char header[HEADER_BYTES + 1] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x01\x0a\0\0\x01\x12\x67\x01\xbb";

static unsigned told;
static bool welcome;

static bool on_told(void *owner, struct fw_conn *conn, const struct fw_proxy_client *client)
{
    (void)owner;
    (void)conn;
    cr_assert_eq(client->family, 4);
    cr_assert_eq(client->port, 4711);
    told++;
    return welcome;
}

static struct sim_rig *create(void)
{
    struct sim_rig *rig = sim_create(2, 1);
    cr_assert_eq(fw_conns_proxy_create(&rig->conns), 0);
    rig->conns.on_told = on_told;
    told = 0;
    welcome = true;
    return rig;
}

/* A header, a handshake and a text, cut in two. */
static uint32_t connect_cut(struct sim_rig *rig, size_t cut, size_t *bytes_out)
{
    struct ws_stream script = {0};
    uint8_t bytes[2048];
    uint32_t slot = fw_sim_connect(rig->sim, FW_CONN_TAG_PROXIED);
    sim_script_open(&script, "/");
    sim_script_text(&script, "eone");
    memcpy(bytes, header, HEADER_BYTES);
    memcpy(bytes + HEADER_BYTES, script.bytes, script.bytes_count);
    *bytes_out = HEADER_BYTES + script.bytes_count;
    ws_stream_clear(&script);
    if (cut > 0)
        fw_sim_peer_send(rig->sim, slot, bytes, cut);
    fw_sim_peer_cut(rig->sim, slot);
    sim_run(rig);
    fw_sim_peer_send(rig->sim, slot, bytes + cut, *bytes_out - cut);
    return slot;
}

Test(sim_proxy, is_served_wherever_its_header_is_cut)
{
    size_t bytes = HEADER_BYTES + 1;
    for (size_t cut = 0; cut < bytes; cut++) {
        struct sim_rig *rig = create();
        uint32_t slot = connect_cut(rig, cut, &bytes);
        sim_run(rig);
        cr_assert_str_eq(sim_frames(rig, slot), "text(eone)", "cut at %zu", cut);
        cr_assert_eq(told, 1u);
        cr_assert_eq(fw_conns_proxy_refused(&rig->conns), 0u);
        sim_destroy(rig);
    }
}

Test(sim_proxy, is_closed_without_an_answer_when_its_client_may_not_connect)
{
    struct sim_rig *rig = create();
    size_t bytes;
    welcome = false;
    uint32_t slot = connect_cut(rig, 5, &bytes);
    sim_run(rig);
    cr_assert_eq(fw_sim_state(rig->sim, slot), FW_SIM_ABORTED);
    cr_assert_eq(fw_sim_sent(rig->sim, slot).count, 0u);
    cr_assert_eq(told, 1u);
    cr_assert_eq(rig->opened, 0u);
    sim_destroy(rig);
}

/* Its end, ours and a reset, in the middle of a header. */
Test(sim_proxy, may_end_before_it_has_said_all)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct sim_rig *rig = create();
        uint32_t slot = fw_sim_connect(rig->sim, FW_CONN_TAG_PROXIED);
        fw_sim_peer_send(rig->sim, slot, header, 20);
        sim_run(rig);
        if (kind == 0)
            fw_sim_peer_end(rig->sim, slot, 0);
        else if (kind == 1)
            fw_sim_peer_end(rig->sim, slot, -ECONNRESET);
        else if (kind == 2)
            sim_stop(rig);
        else
            sim_pass(rig, rig->rules.handshake_timeout_ms + 100);
        sim_run(rig);
        cr_assert_eq(rig->conns.live_count, 0u, "%u", kind);
        cr_assert_eq(fw_conns_proxy_refused(&rig->conns), kind == 3, "too late is refused");
        cr_assert_eq(told, 0u);
        sim_destroy(rig);
    }
}

Test(sim_proxy, survives_every_allocation_that_fails)
{
    bool failed = true;
    unsigned served = 0;
    for (unsigned k = 1; failed; k++) {
        struct sim_rig *rig = create();
        size_t bytes;
        fail_mem_at(k, FAIL_ONCE);
        uint32_t slot = connect_cut(rig, 20, &bytes);
        sim_run(rig);
        failed = fail_mem_off();
        if (fw_sim_state(rig->sim, slot) == FW_SIM_ABORTED)
            cr_assert(failed, "nobody is closed for nothing");
        else
            served++;
        sim_destroy(rig);
    }
    cr_assert_geq(served, 1u);
    struct fw_conns conns = {.slots_max = 4};
    failed = true;
    for (unsigned k = 1; failed; k++) {
        fail_mem_at(k, FAIL_ONCE);
        int result = fw_conns_proxy_create(&conns);
        failed = fail_mem_off();
        cr_assert_eq(result, failed ? -ENOMEM : 0);
    }
    fw_conns_proxy_destroy(&conns);
}
