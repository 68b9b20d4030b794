/* tls_file.c: reading certificate and key files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls/tls_file.h"
#include "base/mem.h"
#include "net/tls/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(char *why, size_t why_bytes, const char *path, const char *reason)
{
    snprintf(why, why_bytes, "%s: %s", path, reason);
    return FW_ERR_TLS_FILE;
}

/* What is opened is what is judged, so a link that changes meanwhile changes nothing. */
static int judge(int fd, const char *path, enum fw_tls_file_kind kind, char *why, size_t why_bytes,
                 size_t *count_out)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return refuse(why, why_bytes, path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return refuse(why, why_bytes, path, "it is not a file");
    if (about.st_size == 0)
        return refuse(why, why_bytes, path, "the file is empty");
    if (about.st_size > FW_TLS_FILE_BYTES_MAX)
        return refuse(why, why_bytes, path, "the file is larger than 1 MiB");
    unsigned mode = (unsigned)about.st_mode & 0777u;
    if (kind == FW_TLS_FILE_SECRET && (mode & (S_IWGRP | S_IRWXO)) != 0) {
        snprintf(why, why_bytes,
                 "%s: others can read or change this private key (mode %04o); chmod 600 it, or 640 "
                 "for a group",
                 path, mode);
        return FW_ERR_TLS_KEY_EXPOSED;
    }
    *count_out = (size_t)about.st_size;
    return 0;
}

static int read_whole(int fd, const char *path, char *why, size_t why_bytes,
                      struct fw_tls_file *file)
{
    size_t at = 0;
    while (at < file->count) {
        ssize_t got = read(fd, file->bytes + at, file->count - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return refuse(why, why_bytes, path, got < 0 ? strerror(errno) : "the file shrank");
        at += (size_t)got;
    }
    file->bytes[at] = 0;
    return 0;
}

int fw_tls_file_read(const char *path, enum fw_tls_file_kind kind, char *why, size_t why_bytes,
                     struct fw_tls_file *file_out)
{
    *file_out = (struct fw_tls_file){NULL, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return refuse(why, why_bytes, path, strerror(errno));
    int status = judge(fd, path, kind, why, why_bytes, &file_out->count);
    if (status != 0)
        goto close_fd;
    file_out->bytes = fw_mem_alloc(file_out->count + 1);
    if (file_out->bytes == NULL) {
        snprintf(why, why_bytes, "%s: out of memory", path);
        status = -ENOMEM;
        goto close_fd;
    }
    status = read_whole(fd, path, why, why_bytes, file_out);
    if (status != 0)
        fw_tls_file_clear(file_out);
close_fd:
    close(fd);
    return status;
}

void fw_tls_file_clear(struct fw_tls_file *file)
{
    if (file->bytes != NULL) {
        explicit_bzero(file->bytes, file->count);
        fw_mem_free(file->bytes);
    }
    *file = (struct fw_tls_file){NULL, 0};
}
