/* criterion_tsan.c: lets Criterion's programs run under ThreadSanitizer on x86-64.
 *
 * Criterion runs each test in a process of its own and hands it a piece of shared memory, which it
 * maps at 0x200000000000 + (rand_r() & 0x3fffff) * 16 MiB. ThreadSanitizer keeps nearly all of that
 * range for itself and refuses the mapping ("Could not initialize inheritable arena"). It leaves
 * 0x550000000000 to 0x568000000000 to the program, of which Linux gives a position-independent
 * executable and its heap the part below 0x567000000000. So this rand_r, which libcriterion.so
 * finds before the C library's, answers only what lands between those two. Other builds have
 * nothing here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

#if defined(THREAD_SANITIZER) && defined(__x86_64__)

/* (0x567000000000 - 0x200000000000) / 16 MiB, and as many places as there are up to 0x568000000000.
 */
#define FIRST_PLACE 0x367000u
#define PLACES      0x1000u

/* The generator is the one of C17, 7.22.2.2: Criterion needs it spread, not strong. */
__attribute__((visibility("default"))) int rand_r(unsigned int *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return (int)(FIRST_PLACE + (*seed >> 16) % PLACES);
}

#else

/* ISO C wants a declaration in every file. */
extern int criterion_tsan_is_not_needed;

#endif
