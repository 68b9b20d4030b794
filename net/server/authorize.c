/* authorize.c: the server's policy, and what the program decides (fanwire/access.h).
 *
 * An authorization is made by a worker, held by the program, decided on any thread, and comes back
 * to its worker by a stack of its own, as posts do; the worker finds out whether the session still
 * waits. A new policy is noticed by its version.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/server/server_impl.h"

#include "base/mem.h"
#include "session/identity.h"
#include "session/request.h"

#include <errno.h>
#include <fanwire/status.h>
#include <stdio.h>
#include <string.h>

struct authorization {
    struct fw_authorization base; /* first: what the program holds is this */
    struct fw_worker *worker;
};

static struct fw_worker *worker_of(struct fw_session *session)
{
    return (struct fw_worker *)(void *)session->host;
}

struct fw_authorization *fw_worker_authorize(struct fw_session *session,
                                             const struct fw_request *request)
{
    struct fw_worker *worker = worker_of(session);
    const struct fw_server_options *options = &worker->server->options;
    if (options->on_authorize == NULL)
        return NULL;
    struct authorization *made = fw_mem_zero(sizeof *made);
    if (made == NULL) {
        fw_session_finish(session, FW_END_ABORT);
        return NULL;
    }
    made->base.session = session;
    made->worker = worker;
    fw_worker_does(worker, FW_DOING_AUTHORIZE);
    if (options->on_authorize(&made->base, request, options->context))
        return &made->base; /* it may be decided already: it is taken next turn */
    fw_mem_free(made);
    return NULL;
}

/* Gives a decision back. Only the first of a batch has to wake the worker. */
static void post(fw_authorization *authorization)
{
    struct fw_worker *worker = ((struct authorization *)(void *)authorization)->worker;
    struct fw_engine *engine = worker->engine;
    if (fw_stack_push(&worker->decisions, &authorization->link) == FW_STACK_WAS_EMPTY)
        fw_engine_wake(engine);
}

static struct fw_bytes text_of(const char *text)
{
    return fw_bytes_of(text == NULL ? "" : text);
}

static int make_principal(const struct fw_grant *grant, struct fw_principal **principal_out)
{
    const struct fw_principal of = {.expires_s = grant->expires_s,
                                    .name = text_of(grant->subject),
                                    .subscribe = text_of(grant->subscribe),
                                    .publish = text_of(grant->publish),
                                    .observe = grant->observe};
    if (of.name.count > FW_PRINCIPAL_NAME_BYTES_MAX || !fw_patterns_valid(of.subscribe) ||
        !fw_patterns_valid(of.publish))
        return FW_ERR_USAGE;
    *principal_out = fw_principal_create(&of);
    return *principal_out == NULL ? -ENOMEM : 0;
}

int fw_authorization_grant(fw_authorization *authorization, const struct fw_grant *grant)
{
    struct fw_grant own = {0};
    memcpy(&own, grant, grant->size < sizeof own ? grant->size : sizeof own);
    int result = make_principal(&own, &authorization->principal);
    if (result != 0)
        fw_authorization_refuse(authorization, 500, "the decision was malformed");
    else
        post(authorization);
    return result;
}

void fw_authorization_refuse(fw_authorization *authorization, unsigned status, const char *reason)
{
    authorization->status = status < 400 || status > 599 ? 403 : status;
    snprintf(authorization->reason, sizeof authorization->reason, "%s",
             reason == NULL ? "this is not allowed" : reason);
    post(authorization);
}

/* ---- the worker's side ----------------------------------------------------------------------- */

/* The newest policy, held. */
static void take_policy(struct fw_worker *worker)
{
    struct fw_server *server = worker->server;
    struct fw_access *old = worker->conns.host.access;
    pthread_mutex_lock(&server->lock);
    struct fw_access *access = server->access;
    if (access != NULL)
        fw_access_hold(access);
    worker->access_version = atomic_load(&server->access_version);
    pthread_mutex_unlock(&server->lock);
    worker->conns.host.access = access;
    fw_access_destroy(old);
}

/* Oldest first. */
static struct fw_authorization *take_decisions(struct fw_worker *worker)
{
    return (struct fw_authorization *)(void *)fw_stack_take(&worker->decisions);
}

static struct fw_authorization *next_of(const struct fw_authorization *authorization)
{
    return (struct fw_authorization *)(void *)authorization->link.next;
}

void fw_worker_take_decisions(struct fw_worker *worker)
{
    if (atomic_load(&worker->server->access_version) != worker->access_version)
        take_policy(worker);
    struct fw_authorization *oldest = take_decisions(worker);
    while (oldest != NULL) {
        struct fw_authorization *next = next_of(oldest);
        fw_session_decided(oldest);
        fw_mem_free(oldest);
        oldest = next;
    }
}

void fw_worker_drop_decisions(struct fw_worker *worker)
{
    struct fw_authorization *left = take_decisions(worker);
    while (left != NULL) {
        struct fw_authorization *next = next_of(left);
        fw_mem_free(left->principal);
        fw_mem_free(left);
        left = next;
    }
    fw_access_destroy(worker->conns.host.access);
    worker->conns.host.access = NULL;
}

int fw_server_set_access(fw_server *server, fw_access *access)
{
    bool exact = server->options.allow_origins != NULL;
    for (size_t i = 0; exact && server->options.allow_origins[i] != NULL; i++)
        exact = strcmp(server->options.allow_origins[i], "*") != 0;
    if (access != NULL && fw_access_needs_origins(access) &&
        (!exact || server->options.allow_origins[0] == NULL))
        return FW_ERR_USAGE;
    if (access != NULL)
        fw_access_hold(access);
    pthread_mutex_lock(&server->lock);
    struct fw_access *old = server->access;
    server->access = access;
    atomic_fetch_add(&server->access_version, 1);
    bool runs = server->state == FW_RUNNING;
    pthread_mutex_unlock(&server->lock);
    fw_access_destroy(old);
    for (unsigned i = 0; runs && i < server->workers_count; i++)
        fw_engine_wake(server->workers[i]->engine);
    return 0;
}
