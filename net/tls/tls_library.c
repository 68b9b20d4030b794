/* tls_library.c: wolfSSL as a whole: its start, its heap, what it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/check.h"
#include "base/mem.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_ipsec_mb.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/memory.h>
#include <wolfssl/wolfcrypt/random.h>

/* ---- the heap ---- */

/* wolfSSL allocates for every record, so one counter for all threads would be a line that all cores
 * pull at. The first threads have a stripe each, which nobody else writes, so that counting needs
 * no locked instruction: two of them at each of the hundreds of blocks that a handshake takes are 2
 * % of it. Those that come later share the last. Only the sums mean something, since what one
 * thread allocates another may free. */
#define STRIPES          64
#define SHARED           (STRIPES - 1)
#define CACHE_LINE_BYTES 64
struct stripe {
    _Alignas(CACHE_LINE_BYTES) _Atomic int64_t bytes;
    _Atomic int64_t blocks;
};
static struct stripe stripes[STRIPES];
static _Atomic unsigned stripes_taken;
static _Thread_local struct stripe *my_stripe;

static void add_alone(_Atomic int64_t *sum, int64_t more)
{
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static void count(int64_t bytes, int64_t blocks)
{
    if (my_stripe == NULL) {
        unsigned taken = atomic_fetch_add_explicit(&stripes_taken, 1, memory_order_relaxed);
        my_stripe = &stripes[taken < SHARED ? taken : SHARED];
    }
    if (FW_UNLIKELY(my_stripe == &stripes[SHARED])) {
        atomic_fetch_add_explicit(&my_stripe->bytes, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&my_stripe->blocks, blocks, memory_order_relaxed);
    } else {
        add_alone(&my_stripe->bytes, bytes);
        add_alone(&my_stripe->blocks, blocks);
    }
}

static int64_t held(void *block)
{
    return (int64_t)malloc_usable_size(block);
}

static void *library_alloc(size_t bytes)
{
    void *block = fw_mem_alloc(bytes > 0 ? bytes : 1);
    if (block != NULL)
        count(held(block), 1);
    return block;
}

static void library_free(void *block)
{
    if (block == NULL)
        return;
    count(-held(block), -1);
    fw_mem_free(block);
}

static void *library_resize(void *block, size_t bytes)
{
    if (block == NULL)
        return library_alloc(bytes);
    int64_t before = held(block);
    void *moved = fw_mem_resize(block, bytes > 0 ? bytes : 1);
    if (moved != NULL)
        count(held(moved) - before, 0);
    return moved;
}

struct fw_tls_memory fw_tls_memory(void)
{
    struct fw_tls_memory sum = {0, 0};
    for (unsigned i = 0; i < STRIPES; i++) {
        sum.bytes += atomic_load_explicit(&stripes[i].bytes, memory_order_relaxed);
        sum.blocks += atomic_load_explicit(&stripes[i].blocks, memory_order_relaxed);
    }
    return sum;
}

/* ---- start ---- */

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;

static int start(void)
{
    if (wolfSSL_SetAllocators(library_alloc, library_free, library_resize) != 0)
        return FW_ERR_TLS_LIBRARY;
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return FW_ERR_TLS_LIBRARY;
    int status = fw_tls_libcrypto_start();
    if (status == 0)
        status = fw_tls_ipsec_mb_start();
    if (status != 0)
        wolfSSL_Cleanup();
    return status;
}

/* The allocators must be in place before wolfSSL allocates anything, so all doors lead here first.
 * A start that failed, for want of memory, is tried again by the next who comes. There is no stop:
 * what wolfSSL keeps is for the life of the process. */
int fw_tls_library_start(void)
{
    int status = 0;
    pthread_mutex_lock(&start_lock);
    if (!started)
        status = start();
    started = status == 0;
    pthread_mutex_unlock(&start_lock);
    return status;
}

/* ---- what it is ---- */

bool fw_tls_library_is_slow(void)
{
#if defined(WOLFSSL_AESNI) || defined(WOLFSSL_ARMASM)
    return false;
#else
    return true;
#endif
}

/* The figures are measured, TLS 1.3 with P-256, against the private build that tools/build-wolfssl
 * makes. */
void fw_tls_library(char *line_out, size_t line_bytes)
{
    const char *version = wolfSSL_lib_version();
    const char *helper = fw_tls_libcrypto_version();
    const char *ipsec_mb = fw_tls_library_start() == 0 ? fw_tls_ipsec_mb_version() : NULL;
    if (ipsec_mb != NULL)
        snprintf(line_out, line_bytes,
                 "wolfSSL %s with its own assembly; AES-GCM of large records by libIPSec_MB %s",
                 version, ipsec_mb);
    else if (!fw_tls_library_is_slow())
        snprintf(line_out, line_bytes, "wolfSSL %s with its own assembly", version);
    else if (helper != NULL)
        snprintf(line_out, line_bytes,
                 "wolfSSL %s, not built for this processor; AES-GCM, P-256 and randomness by %s: "
                 "expect 60 KB per idle connection instead of 3, two fifths of the handshakes",
                 version, helper);
    else
        snprintf(line_out, line_bytes,
                 "wolfSSL %s, not built for this processor: expect a thirtieth of the throughput",
                 version);
}

/* ---- threads ---- */

void fw_tls_thread_start(void)
{
#ifdef FP_ECC
    /* The table of a point is made when it is used for the second time. */
    WC_RNG rng;
    if (fw_tls_library_start() != 0 || wc_InitRng_ex(&rng, NULL, FW_TLS_DEVICE) != 0)
        return;
    for (int i = 0; i < 3; i++) {
        ecc_key key;
        if (wc_ecc_init(&key) == 0) {
            wc_ecc_make_key_ex(&rng, 32, &key, ECC_SECP256R1);
            wc_ecc_free(&key);
        }
    }
    wc_FreeRng(&rng);
#endif
}

void fw_tls_thread_stop(void)
{
#ifdef FP_ECC
    wc_ecc_fp_free();
#endif
    fw_tls_libcrypto_thread_stop();
    fw_tls_ipsec_mb_thread_stop();
}
