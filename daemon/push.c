/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One easy handle a server, kept so that connections are used again; a multi handle drives them
 * together, so that a server that does not answer delays nobody. Hazard: libcurl's own error text
 * may hold what was sent; only its fixed words for a code are passed on. */
#include "daemon/push.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 3000
#define LOOK_MS 200 /* how soon a stop is noticed */

struct target {
    char *url;
    CURL *easy;
};

struct fp_push {
    struct target at[FP_PUSH_TARGETS_MAX];
    int count;
    CURLM *multi;
    struct curl_slist *headers;
};

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool set_up(const struct fp_push *push, struct target *target, const char *token)
{
    CURL *easy = target->easy = curl_easy_init();
    if (easy == NULL)
        return false;
    int bad = 0;
    bad |= curl_easy_setopt(easy, CURLOPT_URL, target->url);
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)FP_PUSH_MS);
    bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "flightpath/" FLIGHTPATH_VERSION);
    bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, push->headers);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, target);
    if (token != NULL) {
        bad |= curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        bad |= curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, token);
    }
    return bad == 0;
}

/* The next address of the list without blanks and a last slash, and the path. */
static bool add_target(struct fp_push *push, const char *url, size_t len, const char *path,
                       const char *token)
{
    struct target *target = &push->at[push->count];
    while (len > 0 && (url[len - 1] == ' ' || url[len - 1] == '/'))
        len--;
    if (asprintf(&target->url, "%.*s%s", (int)len, url, path) < 0) {
        target->url = NULL;
        return false;
    }
    push->count++;
    return set_up(push, target, token);
}

enum fp_status fp_push_open(const char *urls, const char *path, const char *token,
                            struct fp_push **push, struct fp_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct fp_push *new = calloc(1, sizeof *new);
    bool fine = new != NULL;
    if (fine) {
        new->multi = curl_multi_init();
        new->headers = curl_slist_append(NULL, "Content-Type: application/json");
        fine = new->multi != NULL &&new->headers != NULL;
    }
    while (fine && *urls && new->count < FP_PUSH_TARGETS_MAX) {
        urls += strspn(urls, " ,");
        size_t len = strcspn(urls, ",");
        fine = add_target(new, urls, len, path, token);
        urls += len;
    }
    if (fine) {
        *push = new;
        return FP_OK;
    }
    fp_push_close(new);
    return fp_fail(err, FP_FATAL, "http_client", "push",
                   "libcurl could not be set up: no memory, or built without TLS");
}

void fp_push_close(struct fp_push *push)
{
    if (push == NULL)
        return;
    for (int i = 0; i < push->count; i++) {
        curl_easy_cleanup(push->at[i].easy);
        free(push->at[i].url);
    }
    curl_multi_cleanup(push->multi);
    curl_slist_free_all(push->headers);
    free(push);
}

int fp_push_count(const struct fp_push *push)
{
    return push->count;
}

const char *fp_push_url(const struct fp_push *push, int target)
{
    return push->at[target].url;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void judge_status(CURL *easy, struct fp_push_result *result)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    result->ok = status >= 200 && status < 300;
    const char *hint = status >= 300 && status < 400
                           ? "; redirects are not followed, give the address it leads to"
                       : status == 401 || status == 403 ? "; check the token"
                       : status == 404                  ? "; check the address and its path"
                                                        : "";
    if (!result->ok)
        snprintf(result->why, sizeof result->why, "answered with HTTP status %ld%s", status, hint);
}

static void collect(struct fp_push *push, struct fp_push_result *results)
{
    int left;
    for (const CURLMsg *message; (message = curl_multi_info_read(push->multi, &left)) != NULL;) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct fp_push_result *result =
            &results[(const struct target *)(const void *)private - push->at];
        if (message->data.result == CURLE_OK)
            judge_status(message->easy_handle, result);
        else
            snprintf(result->why, sizeof result->why, "%s",
                     curl_easy_strerror(message->data.result));
    }
}

void fp_push_send(struct fp_push *push, const char *document, size_t len,
                  struct fp_push_result results[FP_PUSH_TARGETS_MAX], const atomic_bool *stop)
{
    int running = 0;
    for (int i = 0; i < push->count; i++) {
        if (!results[i].asked)
            continue;
        results[i].ok = false;
        snprintf(results[i].why, sizeof results[i].why, "broken off");
        curl_easy_setopt(push->at[i].easy, CURLOPT_POSTFIELDS, document);
        curl_easy_setopt(push->at[i].easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        curl_multi_add_handle(push->multi, push->at[i].easy);
    }
    do {
        if (curl_multi_perform(push->multi, &running) != CURLM_OK)
            break;
        collect(push, results);
        if (running > 0 && curl_multi_poll(push->multi, NULL, 0, LOOK_MS, NULL) != CURLM_OK)
            break;
    } while (running > 0 && !atomic_load(stop));
    for (int i = 0; i < push->count; i++)
        if (results[i].asked)
            curl_multi_remove_handle(push->multi, push->at[i].easy);
}
