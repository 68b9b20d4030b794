/* cpu.c: which SIMD kernels this processor can run, and which one runs.
 *
 * Only a look at the processor and at one environment variable; the kernels stand in simd/, and
 * core/CMakeLists.txt compiles those of the target's processor family.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/simd/simd.h"

#include <stdlib.h>

_Atomic(const struct fw_simd_variant *) fw_simd_choice;

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* The compiler's run-time library asks cpuid, and xgetbv for whether the kernel saves the
 * registers. */
static bool has_sse(void)
{
    return __builtin_cpu_supports("ssse3");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* VBMI is what leaves out the first AVX-512 processors (Skylake-X), which lower their clock for
 * 512-bit work; they run avx2. */
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi");
}
#endif

static const struct fw_simd_variant variants[] = {
    {"scalar", always, fw_mask_scalar, fw_utf8_scalar},
#if defined(__x86_64__)
    {"sse", has_sse, fw_mask_sse, fw_utf8_sse},
    {"avx2", has_avx2, fw_mask_avx2, fw_utf8_avx2},
    {"avx512", has_avx512, fw_mask_avx512, fw_utf8_avx512},
#elif defined(__aarch64__)
    {"neon", always, fw_mask_neon, fw_utf8_neon}, /* part of every ARMv8-A */
#endif
};

#define VARIANTS_COUNT (sizeof variants / sizeof variants[0])

const struct fw_simd_variant *fw_simd_variants(size_t *count_out)
{
    *count_out = VARIANTS_COUNT;
    return variants;
}

static const struct fw_simd_variant *resolve(const char *wanted)
{
    const struct fw_simd_variant *best = variants;
    for (size_t i = 0; i < VARIANTS_COUNT; i++) {
        if (!variants[i].supported())
            continue;
        if (wanted != NULL && strcmp(wanted, variants[i].name) == 0)
            return &variants[i];
        best = &variants[i];
    }
    return best;
}

const struct fw_simd_variant *fw_simd_chosen(void)
{
    const struct fw_simd_variant *chosen =
        atomic_load_explicit(&fw_simd_choice, memory_order_relaxed);
    if (chosen == NULL) {
        /* Threads that come here together find the same and store the same. */
        chosen = resolve(getenv("FANWIRE_SIMD"));
        atomic_store_explicit(&fw_simd_choice, chosen, memory_order_relaxed);
    }
    return chosen;
}
