/* test_cpu.c: the table of SIMD variants and the choice among them (proto/cpu.h).
 *
 * The choice is made once in a process, so each case that makes one does so in a child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proto/cpu.h"
#include "proto/mask.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The index of the variant that a process with this FANWIRE_SIMD (NULL: none) chooses. */
static size_t chosen_with(const char *wanted)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        size_t count;
        unsetenv("FANWIRE_SIMD");
        if (wanted != NULL)
            setenv("FANWIRE_SIMD", wanted, 1);
        _exit((int)(fw_simd_chosen() - fw_simd_variants(&count)));
    }
    int how;
    cr_assert_eq(waitpid(child, &how, 0), child);
    cr_assert(WIFEXITED(how));
    return (size_t)WEXITSTATUS(how);
}

static size_t fastest_supported(void)
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    size_t fastest = 0;
    for (size_t i = 0; i < count; i++) {
        if (variants[i].supported())
            fastest = i;
    }
    return fastest;
}

Test(simd_variants, start_with_scalar_which_runs_everywhere)
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    cr_assert_geq(count, 1);
    cr_assert_str_eq(variants[0].name, "scalar");
    cr_assert(variants[0].supported());
}

Test(simd_variants, are_those_of_the_processor_family_slowest_first)
{
#if defined(__x86_64__)
    static const char *const names[] = {"scalar", "sse", "avx2", "avx512"};
#elif defined(__aarch64__)
    static const char *const names[] = {"scalar", "neon"};
#else
    static const char *const names[] = {"scalar"};
#endif
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    cr_assert_eq(count, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < count; i++) {
        cr_assert_str_eq(variants[i].name, names[i]);
        cr_assert_not_null(variants[i].mask);
        cr_assert_not_null(variants[i].utf8_check);
    }
}

Test(simd_chosen, is_the_fastest_that_the_processor_supports)
{
    cr_assert_eq(chosen_with(NULL), fastest_supported());
}

Test(simd_chosen, follows_the_environment_where_the_processor_can)
{
    size_t count;
    const struct fw_simd_variant *variants = fw_simd_variants(&count);
    for (size_t i = 0; i < count; i++) {
        size_t right = variants[i].supported() ? i : fastest_supported();
        cr_assert_eq(chosen_with(variants[i].name), right, "%s", variants[i].name);
    }
}

Test(simd_chosen, follows_the_environment_at_its_first_call)
{
    size_t count;
    setenv("FANWIRE_SIMD", "scalar", 1); /* each test is a process of its own */
    cr_assert_eq(fw_simd_chosen(), fw_simd_variants(&count));
}

Test(simd_chosen, passes_over_names_that_it_does_not_know)
{
    static const char *const strange[] = {"", "AVX2", "avx", "avx2 ", "mmx", "auto"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        cr_assert_eq(chosen_with(strange[i]), fastest_supported(), "%s", strange[i]);
}

Test(simd_chosen, stays_what_it_was_when_the_environment_changes)
{
    const struct fw_simd_variant *first = fw_simd_chosen();
    setenv("FANWIRE_SIMD", "scalar", 1);
    cr_assert_eq(fw_simd_chosen(), first);
}

static void *mask_and_ask(void *context)
{
    uint8_t octets[64] = {0};
    fw_mask(octets, octets, sizeof octets, 0x01010101);
    *(const struct fw_simd_variant **)context = octets[63] == 1 ? fw_simd_chosen() : NULL;
    return NULL;
}

Test(simd_chosen, is_the_same_for_threads_that_come_first_together)
{
    pthread_t threads[4];
    const struct fw_simd_variant *seen[4];
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, mask_and_ask, &seen[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(seen[i], fw_simd_chosen());
}
