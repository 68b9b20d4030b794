/* replay.c: a fuzz target's main without a fuzzer: gives it each file of the folders it is told, so
 * that corpora count in builds that are not for fuzzing (tools/coverage).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t bytes_count);

static void replay_file(const char *path, uint8_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t count = fread(bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, count);
}

static unsigned replay_folder(const char *folder, uint8_t *bytes)
{
    unsigned count = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        perror(folder);
        exit(1);
    }
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        replay_file(path, bytes);
        count++;
    }
    closedir(entries);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    for (int i = 1; bytes != NULL && i < argc; i++)
        count += replay_folder(argv[i], bytes);
    free(bytes);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
