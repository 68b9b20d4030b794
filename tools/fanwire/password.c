/* password.c: the password file: NAME:HASH[:SUBSCRIBE[:PUBLISH]], a line each.
 *
 * HASH is anything that crypt(5) calls strong: yescrypt ($y$), bcrypt ($2b$, $2y$), sha512crypt
 * ($6$), as mkpasswd and htpasswd -B make them. Such a hash takes its time on purpose, so a
 * password that was right is remembered by a fast one (sha256crypt of the least rounds, with a salt
 * of this process) and only checked against that until the file is read again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES  8192
#define USERS_MAX   4096u
#define FAST_PREFIX "$5$"
#define FAST_ROUNDS 1000

struct user {
    char *name;
    char *hash;
    char *subscribe;
    char *publish;
    char fast[CRYPT_OUTPUT_SIZE]; /* of the password that was right; empty: none yet */
};

struct passwords {
    atomic_uint references;
    pthread_mutex_t lock; /* of `fast` */
    char fast_salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct user *users;
    unsigned users_count;
};

void passwords_hold(struct passwords *passwords)
{
    atomic_fetch_add(&passwords->references, 1);
}

void passwords_drop(struct passwords *passwords)
{
    if (passwords == NULL || atomic_fetch_sub(&passwords->references, 1) > 1)
        return;
    for (unsigned i = 0; i < passwords->users_count; i++)
        free(passwords->users[i].name); /* the other texts stand in the same block */
    free(passwords->users);
    pthread_mutex_destroy(&passwords->lock);
    free(passwords);
}

/* Fast hashes are not for passwords: a file that holds one is refused, not trusted. */
static bool hash_strong(const char *hash)
{
    static const char *const prefixes[] = {"$y$", "$gy$", "$7$", "$2b$", "$2y$", "$6$"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(hash, prefixes[i], strlen(prefixes[i])) == 0)
            return strlen(hash) < CRYPT_OUTPUT_SIZE && crypt_checksalt(hash) == CRYPT_SALT_OK;
    }
    return false;
}

/* Cuts a line into its user. The rights default to every topic. */
static bool parse_line(char *line, struct user *user)
{
    static char every[] = "*";
    *user = (struct user){.name = strdup(line), .subscribe = every, .publish = every};
    char *rest = user->name;
    if (rest == NULL)
        return false;
    strsep(&rest, ":");
    user->hash = strsep(&rest, ":");
    if (rest != NULL)
        user->subscribe = strsep(&rest, ":");
    if (rest != NULL)
        user->publish = strsep(&rest, "");
    return user->name[0] != '\0' && strlen(user->name) <= 256 && user->hash != NULL &&
           hash_strong(user->hash);
}

static bool add_user(struct passwords *passwords, const struct user *user)
{
    struct user *grown = realloc(passwords->users, sizeof *grown * (passwords->users_count + 1));
    if (grown == NULL)
        return false;
    passwords->users = grown;
    passwords->users[passwords->users_count++] = *user;
    return true;
}

static struct user *find(struct passwords *passwords, const char *name)
{
    for (unsigned i = 0; i < passwords->users_count; i++) {
        if (strcmp(passwords->users[i].name, name) == 0)
            return &passwords->users[i];
    }
    return NULL;
}

static bool read_lines(struct passwords *passwords, FILE *file, const char *path)
{
    char line[LINE_BYTES];
    unsigned number = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        struct user user;
        const char *fault = NULL;
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        bool parsed = parse_line(line, &user);
        if (!parsed)
            fault = "a line is NAME:HASH[:SUBSCRIBE[:PUBLISH]], with a slow hash (mkpasswd, "
                    "htpasswd -B)";
        else if (find(passwords, user.name) != NULL)
            fault = "this name is there already";
        else if (passwords->users_count == USERS_MAX || !add_user(passwords, &user))
            fault = "too many names";
        if (fault == NULL)
            continue;
        free(user.name);
        say_mistake("%s:%u: %s", path, number, fault);
        return false;
    }
    if (passwords->users_count == 0)
        say_mistake("%s: nobody is in it", path);
    return passwords->users_count > 0;
}

struct passwords *passwords_read(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        say_mistake("password-file: cannot read '%s': %s", path, strerror(errno));
        return NULL;
    }
    struct passwords *passwords = calloc(1, sizeof *passwords);
    bool good = passwords != NULL;
    if (good) {
        atomic_init(&passwords->references, 1);
        pthread_mutex_init(&passwords->lock, NULL);
        good = crypt_gensalt_rn(FAST_PREFIX, FAST_ROUNDS, NULL, 0, passwords->fast_salt,
                                sizeof passwords->fast_salt) != NULL &&
               read_lines(passwords, file, path);
    }
    fclose(file);
    if (good)
        return passwords;
    passwords_drop(passwords);
    return NULL;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* How long it takes says nothing about where they differ. */
static bool equal_in_constant_time(const char *a, const char *b)
{
    size_t count = strlen(a);
    unsigned different = 0;
    if (strlen(b) != count) /* of another method; the length is no secret */
        return false;
    for (size_t i = 0; i < count; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return different == 0;
}

static bool hash_is(const char *password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data); /* 32 KiB */
    const char *made = data == NULL ? NULL : crypt_rn(password, hash, data, sizeof *data);
    bool right = made != NULL && equal_in_constant_time(made, hash);
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
    return right;
}

/* Whether it is the password that was right before. */
static bool is_remembered(struct passwords *passwords, struct user *user, const char *password)
{
    char fast[CRYPT_OUTPUT_SIZE];
    pthread_mutex_lock(&passwords->lock);
    memcpy(fast, user->fast, sizeof fast);
    pthread_mutex_unlock(&passwords->lock);
    return fast[0] != '\0' && hash_is(password, fast);
}

static void remember(struct passwords *passwords, struct user *user, const char *password)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *made =
        data == NULL ? NULL : crypt_rn(password, passwords->fast_salt, data, sizeof *data);
    if (made != NULL) {
        pthread_mutex_lock(&passwords->lock);
        strcpy(user->fast, made);
        pthread_mutex_unlock(&passwords->lock);
    }
    free(data);
}

bool passwords_check(struct passwords *passwords, const char *credentials,
                     struct fw_grant *grant_out)
{
    char name[512];
    const char *colon = strchr(credentials, ':');
    if (colon == NULL || (size_t)(colon - credentials) >= sizeof name)
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(colon - credentials), credentials);
    struct user *user = find(passwords, name);
    if (user == NULL) { /* the same work, so that names cannot be found by time */
        hash_is(colon + 1, passwords->users[0].hash);
        return false;
    }
    if (!is_remembered(passwords, user, colon + 1)) {
        if (!hash_is(colon + 1, user->hash))
            return false;
        remember(passwords, user, colon + 1);
    }
    *grant_out = (struct fw_grant){.size = sizeof *grant_out,
                                   .subject = user->name,
                                   .subscribe = user->subscribe,
                                   .publish = user->publish};
    return true;
}
