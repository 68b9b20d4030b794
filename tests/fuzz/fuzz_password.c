/* fuzz_password.c: libFuzzer target of password files and of what is held against them
 * (tools/fanwire/password.c; RFC 7617).
 *
 *   line 1    a name and a password, with a colon between them
 *   then      the file, in which "@H" stands for a hash of "secret"
 *
 * The oracle: a file is read when each of its lines is NAME:HASH[:SUBSCRIBE[:PUBLISH]] with a name
 * of its own and a hash of a slow kind, and else refused in a line of ours; who is granted
 * something is in the file, said "secret", and is granted what its line says, twice alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz/target.h"
#include "tools/fanwire/access.h"

#include <crypt.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 1024
#define FILE_BYTES_MAX  8000
#define USERS_MAX       128
#define NAME_BYTES_MAX  256
#define SALT            "$6$rounds=1000$salt"

struct user {
    char *parts[4]; /* name, hash, rights; NULL: not said */
};

struct users {
    struct user at[USERS_MAX];
    unsigned count;
    bool ours; /* every hash is ours, and fast */
};

static char hash[CRYPT_OUTPUT_SIZE];

static void make_hash(void)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *made = data == NULL ? NULL : crypt_rn("secret", SALT, data, sizeof *data);
    require(made != NULL && strncmp(made, SALT, strlen(SALT)) == 0, "a hash");
    strcpy(hash, made);
    free(data);
}

/* The file with its hashes; cut where the room ends. */
static struct fw_bytes fill_in(struct fw_bytes input)
{
    static uint8_t file[FILE_BYTES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < input.count; i++) {
        bool mark = input.at[i] == '@' && i + 1 < input.count && input.at[i + 1] == 'H';
        size_t needed = mark ? strlen(hash) : 1;
        if (count + needed > sizeof file)
            break;
        memcpy(file + count, mark ? (const uint8_t *)hash : input.at + i, needed);
        count += needed;
        i += mark;
    }
    return (struct fw_bytes){file, count};
}

/* ---- the other reading ----------------------------------------------------------------------- */

static bool is_slow(const char *text)
{
    static const char *const kinds[] = {"y", "gy", "7", "2b", "2y", "6"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t count = strlen(kinds[i]);
        if (text[0] == '$' && strncmp(text + 1, kinds[i], count) == 0 && text[1 + count] == '$')
            return strlen(text) < CRYPT_OUTPUT_SIZE && crypt_checksalt(text) == CRYPT_SALT_OK;
    }
    return false;
}

static void cut_parts(struct fw_bytes line, struct user *user)
{
    *user = (struct user){0};
    for (int i = 0; i < 4; i++) {
        bool more = line.count > 0 && memchr(line.at, ':', line.count) != NULL;
        user->parts[i] = string_of(i < 3 ? cut_at(&line, ':') : line);
        if (!more)
            return;
    }
}

static void free_parts(struct user *user)
{
    for (int i = 0; i < 4; i++)
        free(user->parts[i]);
}

static bool is_known(const struct users *users, const char *name)
{
    for (unsigned i = 0; i < users->count; i++) {
        if (strcmp(users->at[i].parts[0], name) == 0)
            return true;
    }
    return false;
}

/* Takes one line; false when it is none. */
static bool read_line(struct users *users, struct fw_bytes line)
{
    struct user *user = &users->at[users->count];
    cut_parts(line, user);
    const char *name = user->parts[0];
    bool good = name[0] != '\0' && strlen(name) <= NAME_BYTES_MAX && user->parts[1] != NULL &&
                is_slow(user->parts[1]) && !is_known(users, name);
    if (!good) {
        free_parts(user);
        return false;
    }
    users->ours = users->ours && strcmp(user->parts[1], hash) == 0;
    users->count++;
    return true;
}

static bool read_users(struct fw_bytes file, struct users *users)
{
    *users = (struct users){.ours = true};
    while (file.count > 0) {
        struct fw_bytes line = cut_at(&file, '\n');
        const uint8_t *end = line.count == 0 ? NULL : memchr(line.at, '\r', line.count);
        if (end != NULL)
            line.count = (size_t)(end - line.at);
        if (line.count == 0 || line.at[0] == '#')
            continue;
        if (users->count == USERS_MAX || !read_line(users, line))
            return false;
    }
    return users->count > 0;
}

/* ---- the comparison -------------------------------------------------------------------------- */

/* Reads the file by its descriptor's name; what is said on stderr is judged. */
static struct passwords *read_file(struct fw_bytes file)
{
    char path[32];
    char *said;
    size_t said_count;
    FILE *before = stderr;
    int fd = memfd_create("passwords", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, file.at, file.count) == (ssize_t)file.count, "a file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FILE *capture = open_memstream(&said, &said_count);
    require(capture != NULL, "memory");
    stderr = capture;
    struct passwords *passwords = passwords_read(path);
    stderr = before;
    fclose(capture);
    close(fd);
    require((passwords != NULL) == (said_count == 0), "a fault is told, and nothing else");
    require(said_count == 0 || strncmp(said, "fanwire: ", 9) == 0, "by us");
    free(said);
    return passwords;
}

static void check(struct passwords *passwords, const struct users *users, const char *credentials)
{
    struct fw_grant grant;
    const char *colon = strchr(credentials, ':');
    const struct user *user = NULL;
    for (unsigned i = 0; colon != NULL && i < users->count; i++) {
        const char *name = users->at[i].parts[0];
        size_t count = (size_t)(colon - credentials);
        if (strlen(name) == count && memcmp(name, credentials, count) == 0)
            user = &users->at[i];
    }
    bool right = user != NULL && strcmp(colon + 1, "secret") == 0;
    require(passwords_check(passwords, credentials, &grant) == right, "who is let in");
    if (!right)
        return;
    const char *subscribe = user->parts[2] == NULL ? "*" : user->parts[2];
    const char *publish = user->parts[3] == NULL ? "*" : user->parts[3];
    require(strcmp(grant.subject, user->parts[0]) == 0 && strcmp(grant.subscribe, subscribe) == 0 &&
                strcmp(grant.publish, publish) == 0,
            "and what for");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct users users;
    struct fw_bytes rest = {data, size};
    if (size > INPUT_BYTES_MAX || memchr(data, '\0', size) != NULL)
        return -1;
    if (hash[0] == '\0')
        make_hash();
    char *credentials = string_of(cut_at(&rest, '\n'));
    struct fw_bytes file = fill_in(rest);
    bool good = read_users(file, &users);
    struct passwords *passwords = read_file(file);
    require((passwords != NULL) == good, "a file, or none");
    /* A hash of the input's own may take hours. */
    for (int i = 0; i < 2 && good && users.ours; i++)
        check(passwords, &users, credentials);
    passwords_drop(passwords);
    for (unsigned i = 0; i < users.count; i++)
        free_parts(&users.at[i]);
    free(credentials);
    return 0;
}
