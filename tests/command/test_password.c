/* test_password.c: the password file (tools/fanwire/password.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tools/fanwire/access.h"

#include <criterion/criterion.h>
#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct passwords *read_text(const char *text)
{
    char path[] = "/tmp/fanwire-passwords-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct passwords *passwords = passwords_read(path);
    unlink(path);
    return passwords;
}

/* A line's hash by a method, of "wonder"; the least cost that it has. */
static const char *hash_of(const char *prefix)
{
    static struct crypt_data data;
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    cr_assert_not_null(crypt_gensalt_rn(prefix, 0, NULL, 0, salt, sizeof salt), "%s", prefix);
    const char *hash = crypt_rn("wonder", salt, &data, sizeof data);
    cr_assert_not_null(hash);
    return hash;
}

Test(passwords, are_checked_whatever_slow_hash_they_have, .timeout = 120)
{
    static const char *const prefixes[] = {"$y$", "$2b$", "$6$"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char text[512];
        struct fw_grant grant;
        snprintf(text, sizeof text, "# names\n\nalice:%s:a.* b:c\r\nbob:%s\n", hash_of(prefixes[i]),
                 hash_of(prefixes[i]));
        struct passwords *passwords = read_text(text);
        cr_assert_not_null(passwords);
        for (unsigned again = 0; again < 3; again++) {
            cr_assert(passwords_check(passwords, "alice:wonder", &grant));
            cr_assert_str_eq(grant.subject, "alice");
            cr_assert_str_eq(grant.subscribe, "a.* b");
            cr_assert_str_eq(grant.publish, "c");
            cr_assert(passwords_check(passwords, "bob:wonder", &grant));
            cr_assert_str_eq(grant.publish, "*");
            cr_assert_not(passwords_check(passwords, "alice:wonde", &grant));
            cr_assert_not(passwords_check(passwords, "alice:wonder ", &grant));
            cr_assert_not(passwords_check(passwords, "alice:", &grant));
        }
        cr_assert_not(passwords_check(passwords, "carol:wonder", &grant));
        cr_assert_not(passwords_check(passwords, "alice", &grant));
        cr_assert_not(passwords_check(passwords, ":wonder", &grant));
        cr_assert_not(passwords_check(passwords, "", &grant));
        passwords_drop(passwords);
    }
}

Test(passwords, of_files_that_are_weak_or_malformed_are_refused)
{
    static const char *const texts[] = {
        "",
        "# nobody\n",
        "alice\n",
        "alice:\n",
        "alice:wonder\n",
        ":$6$abcdefgh$x\n",
        "alice:$apr1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx\n",
        "alice:{SHA}xxxx\n",
        "alice:$5$.JwRnpFyBSneWvOb$ThTVu5T620SVlpNwz3BmouJAW7i2xu0de0C6L6g0mY6\n",
        "alice:$1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx\n",
        "alice:rl0uE2Z9Q1Q.A\n",
    };
    char twice[512];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_null(read_text(texts[i]), "%s", texts[i]);
    snprintf(twice, sizeof twice, "a:%s\n", hash_of("$6$"));
    size_t count = strlen(twice);
    memcpy(twice + count, twice, count);
    twice[2 * count] = '\0';
    cr_assert_null(read_text(twice), "a name twice");
}
