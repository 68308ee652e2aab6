/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Four pages over libmicrohttpd, on a thread of its own.
 *
 * The port may be reachable by anyone in the cluster, so everything is small and bounded: requests
 * of about 1 KiB, 16 connections, 8 of one address, 5 s of silence. HEAD works as GET does; any
 * other method is 405, any other path 404. Bodies are a line, or the metrics page. */
#include "daemon/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/address.h"
#include "daemon/log.h"

#define CONNECTIONS_MAX 16
#define CONNECTIONS_PER_ADDRESS_MAX 8
#define SILENCE_MAX_S 5
/* One connection's memory, for the request and the answer's head. libmicrohttpd gives the request
 * half of it, so heads up to about 1 KiB are read and longer ones refused (431). */
#define CONNECTION_BYTES 2048

struct fp_http {
    struct MHD_Daemon *server;
    const struct fp_health *health;
    int port;
};

struct page {
    unsigned status;
    const char *type;
    char *text; /* malloc'ed, or a constant when not owned */
    size_t len;
    bool owned;
};

static struct page line(bool good, const char *yes, const char *no)
{
    const char *text = good ? yes : no;
    return (struct page){.status = good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                         .type = "text/plain; charset=utf-8",
                         .text = (char *)(uintptr_t)text,
                         .len = strlen(text)};
}

static struct page live_page(const struct fp_health *health)
{
    return line(fp_health_live(health, fp_health_now_ms()), "ok\n", "the data path stands still\n");
}

static struct page verdict_page(const struct fp_health *health, bool good)
{
    struct page page = line(good, "ok\n", "not ready\n");
    char *why = NULL;
    int len = good ? -1 : asprintf(&why, "%s\n", fp_health_why(health));
    if (len >= 0) {
        page.text = why;
        page.len = (size_t)len;
        page.owned = true;
    }
    return page;
}

static struct page ready_page(const struct fp_health *health)
{
    return verdict_page(health, fp_health_ready(health));
}

static struct page started_page(const struct fp_health *health)
{
    return verdict_page(health, fp_health_started(health));
}

static struct page metrics_page(const struct fp_health *health)
{
    struct page page = {
        .status = MHD_HTTP_OK, .type = "text/plain; version=0.0.4; charset=utf-8", .owned = true};
    page.text = fp_health_metrics(health, &page.len);
    return page.text ? page : line(false, "", "no memory\n");
}

static const struct {
    const char *path;
    struct page (*make)(const struct fp_health *health);
} pages[] = {{"/livez", live_page},
             {"/readyz", ready_page},
             {"/startupz", started_page},
             {"/metrics", metrics_page}};

static struct page find_page(const struct fp_http *http, const char *path, const char *method)
{
    struct page page = line(false, "", "not found: /livez /readyz /startupz /metrics\n");
    page.status = MHD_HTTP_NOT_FOUND;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        page = line(false, "", "GET only\n");
        page.status = MHD_HTTP_METHOD_NOT_ALLOWED;
        return page;
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(path, pages[i].path) == 0)
            page = pages[i].make(http->health);
    return page;
}

/* libmicrohttpd's handler has its own, longer list of parameters. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    static char seen;
    (void)version;
    (void)upload;
    if (*request == NULL) { /* first call: headers only */
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_size != 0) { /* a body: read and thrown away */
        *upload_size = 0;
        return MHD_YES;
    }
    struct page page = find_page(context, path, method);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        page.len, page.text, page.owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        if (page.owned)
            free(page.text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page.type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (page.status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, page.status, response);
    MHD_destroy_response(response);
    return queued;
}

/* What the library has to say of clients' mistakes is for debugging only. */
static void log_library(void *context, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void log_library(void *context, const char *format, va_list args)
{
    char text[256];
    (void)context;
    vsnprintf(text, sizeof text, format, args);
    fp_log(FP_LOG_DEBUG, "http_library", "%s", text);
}

static struct MHD_Daemon *start_server(struct fp_http *http, struct fp_address *address)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG;
    if (address->at.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, (uint16_t)address->port, NULL, NULL, answer, http, MHD_OPTION_EXTERNAL_LOGGER,
        log_library, NULL, /* must come first */
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address->at, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SILENCE_MAX_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)CONNECTION_BYTES / 2, MHD_OPTION_END);
}

enum fp_status fp_http_start(const char *listen, const struct fp_health *health,
                             struct fp_http **http, struct fp_error *err)
{
    struct fp_address address;
    if (listen == NULL || *listen == '\0') {
        *http = NULL;
        return FP_OK;
    }
    if (!fp_address_parse(listen, &address))
        return fp_fail(err, FP_FATAL, "http_listen", "http_listen",
                       "\"%s\" is not an address; give HOST:PORT, e.g. 127.0.0.1:9464", listen);
    struct fp_http *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "http_listen", "no memory");
    made->health = health;
    errno = 0;
    made->server = start_server(made, &address);
    if (made->server == NULL) {
        const char *why = errno ? strerror(errno) : "refused";
        free(made);
        return fp_fail(err, FP_FATAL, "http_listen", "http_listen",
                       "cannot listen on %s: %s; free the port or set another (port 0 takes a free "
                       "one, \"\" switches the pages off)",
                       listen, why);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(made->server, MHD_DAEMON_INFO_BIND_PORT);
    made->port = info ? info->port : address.port;
    const char *colon = strrchr(listen, ':');
    fp_log(FP_LOG_INFO, "http_listening", "http://%.*s:%d", (int)(colon - listen), listen,
           made->port);
    *http = made;
    return FP_OK;
}

int fp_http_port(const struct fp_http *http)
{
    return http ? http->port : 0;
}

void fp_http_stop(struct fp_http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->server);
    free(http);
}
