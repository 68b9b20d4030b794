/* criterion_asan.c: makes a leak fail the test that leaks, under AddressSanitizer.
 *
 * Criterion runs each test in a process of its own and does not look at how that one exits, which
 * is when LeakSanitizer speaks: so it must abort, and Criterion says which test it was. The process
 * that starts them all holds nothing but Criterion's own memory, of which it loses a little now and
 * then: no leaks are looked for there. Other builds have nothing here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#if defined(ADDRESS_SANITIZER)

/* The sanitizer calls these by name (sanitizer/asan_interface.h, sanitizer/lsan_interface.h). */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

#ifndef FW_WOLFSSL_LIBCRYPTO

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

#else /* the distribution's wolfSSL */

/* Its 5.5.4 loses the server's share of a key (72 octets) when the key cannot be made for want of
 * memory: TLSX_KeyShare_Setup returns between making the one and the other. That function has no
 * name in a stripped library, and neither has any between it and wolfSSL_accept, which is left to
 * be named here; to find it on the stack, the stack must be walked whole. The private build has
 * none of this: there every leak counts. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1:fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
    return "leak:^wolfSSL_accept$\n";
}

#endif

/* Criterion names the test to its process by this variable. */
int __lsan_is_turned_off(void)
{
    return getenv("BXFI_MAP") == NULL;
}

#else

/* ISO C wants a declaration in every file. */
extern int criterion_asan_is_not_needed;

#endif
