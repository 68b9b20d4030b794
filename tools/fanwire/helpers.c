/* helpers.c: a few threads for what may take long: hashes of passwords, questions to services.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access.h"

#include <pthread.h>
#include <stdlib.h>

#define HELPERS_COUNT 8
/* At 8 threads and 100 ms a hash this is 13 s of work: who comes then had better come back. */
#define WAITING_MAX 1024u

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[HELPERS_COUNT];
    unsigned threads_count;
    struct job *first;
    struct job **last;
    unsigned waiting;
    atomic_bool stop;
} helpers = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .last = &helpers.first};

struct job *job_create(fw_authorization *authorization, size_t text_bytes)
{
    struct job *job = calloc(1, sizeof *job + text_bytes);
    if (job != NULL)
        job->authorization = authorization;
    return job;
}

static struct job *take(void)
{
    struct job *job = helpers.first;
    helpers.first = job->next;
    helpers.waiting--;
    if (helpers.first == NULL)
        helpers.last = &helpers.first;
    return job;
}

static void *help(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&helpers.lock);
    for (;;) {
        while (helpers.first == NULL && !atomic_load(&helpers.stop))
            pthread_cond_wait(&helpers.changed, &helpers.lock);
        if (helpers.first == NULL)
            break;
        struct job *job = take();
        pthread_mutex_unlock(&helpers.lock);
        if (atomic_load(&helpers.stop))
            fw_authorization_refuse(job->authorization, 503, "the server is stopping");
        else
            job->decide(job, &helpers.stop);
        free(job);
        pthread_mutex_lock(&helpers.lock);
    }
    pthread_mutex_unlock(&helpers.lock);
    return NULL;
}

bool helpers_start(void)
{
    while (helpers.threads_count < HELPERS_COUNT) {
        if (pthread_create(&helpers.threads[helpers.threads_count], NULL, help, NULL) != 0)
            return helpers.threads_count > 0;
        helpers.threads_count++;
    }
    return true;
}

void helpers_give(struct job *job)
{
    pthread_mutex_lock(&helpers.lock);
    bool taken = helpers.waiting < WAITING_MAX && !atomic_load(&helpers.stop);
    if (taken) {
        job->next = NULL;
        *helpers.last = job;
        helpers.last = &job->next;
        helpers.waiting++;
        pthread_cond_signal(&helpers.changed);
    }
    pthread_mutex_unlock(&helpers.lock);
    if (taken)
        return;
    fw_authorization_refuse(job->authorization, 503, "too many wait for a decision");
    free(job);
}

void helpers_stop(void)
{
    pthread_mutex_lock(&helpers.lock);
    atomic_store(&helpers.stop, true);
    pthread_cond_broadcast(&helpers.changed);
    pthread_mutex_unlock(&helpers.lock);
    while (helpers.threads_count > 0)
        pthread_join(helpers.threads[--helpers.threads_count], NULL);
}
