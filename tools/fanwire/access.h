/* access.h: who may do what on this server: settings into a policy, and the deciding of what is
 * not a token: passwords (password.c) and the HTTP hook (auth_hook.c), on threads of their own
 * (helpers.c), so that no worker waits for a slow hash or a slow service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FANWIRE_COMMAND_ACCESS_H
#define FANWIRE_COMMAND_ACCESS_H

#include "settings.h"

#include <stdatomic.h>

/* Whether everything that the settings name can be read and makes sense.
 *
 * returns      0, or an exit code after saying what is wrong
 */
int access_check(const struct settings *settings);

/* Sets what the server must be told before it is created. */
void access_options(struct settings *settings);

/* Makes the settings' policy the server's, and the passwords the helpers'; the first call starts
 * the helpers. What fails leaves everything as it was.
 *
 * returns      0, or an exit code after saying what is wrong
 */
int access_apply(const struct settings *settings, fw_server *server);

/* Ends the helpers; what they have not decided is refused. After the server has stopped. */
void access_stop(void);

/* ---- password.c ------------------------------------------------------------------------------ */

struct passwords;

/* Reads NAME:HASH[:SUBSCRIBE[:PUBLISH]] lines; NULL after saying what is wrong. */
struct passwords *passwords_read(const char *path);
/* They are counted: a helper holds them while it looks. NULL may be dropped. Thread: any. */
void passwords_hold(struct passwords *passwords);
void passwords_drop(struct passwords *passwords);

/* Decides on "NAME:PASSWORD"; takes as long for a name that there is not. Slow: for helpers.
 *
 * grant_out    borrowed from the passwords
 * returns      whether it is right
 */
bool passwords_check(struct passwords *passwords, const char *credentials,
                     struct fw_grant *grant_out);

/* ---- auth_hook.c ----------------------------------------------------------------------------- */

/* What the hook is sent: JSON of the request's line and of the headers that say who it is; NULL
 * when there is no memory. Freed by free(). */
char *auth_hook_question(const fw_request *request);

/* Asks, and decides as the answer says. Slow: for helpers.
 *
 * stop         set by another thread: the question is given up
 */
void auth_hook_decide(const char *url, uint32_t timeout_ms, const char *question,
                      fw_authorization *authorization, const atomic_bool *stop);

bool auth_hook_url_valid(const char *url);

/* ---- helpers.c ------------------------------------------------------------------------------- */

/* What a helper decides on; freed after it has run. */
struct job {
    struct job *next;
    fw_authorization *authorization;
    void (*decide)(struct job *job, const atomic_bool *stop);
    char text[];
};

struct job *job_create(fw_authorization *authorization, size_t text_bytes);

bool helpers_start(void);
/* Gives a job; refused with 503 when too many wait. Thread: any. */
void helpers_give(struct job *job);
void helpers_stop(void);

#endif
