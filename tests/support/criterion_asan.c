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

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

/* Criterion names the test to its process by this variable. */
int __lsan_is_turned_off(void)
{
    return getenv("BXFI_MAP") == NULL;
}

/* The distribution's wolfSSL loses its conditions (72 octets) when an allocation fails while a ctx
 * is made; the private one is in our own program and is looked at. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libwolfssl.so";
}

#else

/* ISO C wants a declaration in every file. */
extern int criterion_asan_is_not_needed;

#endif
