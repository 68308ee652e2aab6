/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One JSON document by HTTP POST to several servers at once. libcurl is used in push.c only.
 *
 * Certificates are verified, redirects are not followed (a redirect could carry the token away),
 * what a server answers is not read beyond its status. Neither token nor document is ever logged
 * or put into an error. Threads: a struct fp_push belongs to one thread. */
#ifndef FP_PUSH_H
#define FP_PUSH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/status.h"

#define FP_PUSH_TARGETS_MAX 8
#define FP_PUSH_MS 5000 /* one call of fp_push_send takes no longer */

struct fp_push;

struct fp_push_result { /* of one server */
    bool asked;         /* in: send to it; out: unchanged */
    bool ok;
    char why[200]; /* when not ok: what went wrong and how to mend it */
};

/* urls: comma separated, as the options check them; path is added to each; token may be NULL.
 * Strings are copied. */
enum fp_status fp_push_open(const char *urls, const char *path, const char *token,
                            struct fp_push **push, struct fp_error *err) FP_MUST_CHECK;
void fp_push_close(struct fp_push *push);
int fp_push_count(const struct fp_push *push);
const char *fp_push_url(const struct fp_push *push, int target); /* with its path */

/* Sends to every server that is asked for, all at the same time. Ends early when *stop is set: what
 * is not done then is not ok. */
void fp_push_send(struct fp_push *push, const char *document, size_t len,
                  struct fp_push_result results[FP_PUSH_TARGETS_MAX], const atomic_bool *stop);

#endif
