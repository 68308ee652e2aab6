/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/address.h"
#include "daemon/command.h"

static struct fp_health health;
static struct fp_http *http;

static void start(void)
{
    struct fp_error err;
    fp_health_beat(&health);
    cr_assert_eq(fp_http_start("127.0.0.1:0", &health, &http, &err), FP_OK, "%s", err.what);
    cr_assert_gt(fp_http_port(http), 0);
}

static void stop(void)
{
    fp_http_stop(http);
    http = NULL;
}

TestSuite(http, .init = start, .fini = stop, .timeout = 30);

static int connect_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Sends the text; the answer until the server closes, "" when it says nothing. */
static const char *talk(const char *request)
{
    static char answer[1 << 16];
    size_t used = 0;
    int fd = connect_to(fp_http_port(http));
    cr_assert_geq(fd, 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (ssize_t got; (got = recv(fd, answer + used, sizeof answer - 1 - used, 0)) > 0;)
        used += (size_t)got;
    close(fd);
    answer[used] = '\0';
    return answer;
}

static const char *get(const char *path)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             path);
    return talk(request);
}

static int status_of(const char *answer)
{
    int status = 0;
    sscanf(answer, "HTTP/1.%*d %d", &status);
    return status;
}

static const char *body_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");
    return body ? body + 4 : "";
}

static void make_ready(void)
{
    atomic_store(&health.config_ok, true);
    atomic_store(&health.model_ok, true);
    atomic_store(&health.schema_ok, true);
    atomic_store(&health.postgres_ok, true);
    atomic_store(&health.group_joined, true);
}

Test(http, livez_looks_at_the_heartbeat_only)
{
    cr_assert_eq(status_of(get("/livez")), 200, "neither Kafka nor PostgreSQL is there");
    atomic_store(&health.heartbeat_ms, fp_health_now_ms() - FP_HEARTBEAT_AGE_MAX_MS + 2000);
    cr_assert_eq(status_of(get("/livez")), 200);
    atomic_store(&health.heartbeat_ms, fp_health_now_ms() - FP_HEARTBEAT_AGE_MAX_MS);
    const char *answer = get("/livez");
    cr_assert_eq(status_of(answer), 503);
    cr_assert_str_eq(body_of(answer), "the data path stands still\n");
    fp_health_beat(&health);
    atomic_store(&health.fatal, true);
    cr_assert_eq(status_of(get("/livez")), 503);
}

Test(http, startupz_and_readyz_say_what_is_missing)
{
    static atomic_bool *const flags[] = {&health.config_ok, &health.model_ok, &health.schema_ok,
                                         &health.postgres_ok, &health.group_joined};
    static const char *const why[] = {
        "configuration is not loaded yet\n", "model is not loaded yet\n",
        "database schema is not checked yet\n", "PostgreSQL is not writable\n",
        "consumer group is not joined\n"};
    for (size_t i = 0; i < 5; i++) {
        const char *answer = get("/readyz");
        cr_assert_eq(status_of(answer), 503);
        cr_assert_str_eq(body_of(answer), why[i]);
        cr_assert_eq(status_of(get("/startupz")), i < 3 ? 503 : 200);
        atomic_store(flags[i], true);
    }
    cr_assert_eq(status_of(get("/readyz")), 200);
    atomic_store(&health.postgres_ok, false);
    cr_assert_eq(status_of(get("/readyz")), 503);
    cr_assert_eq(status_of(get("/livez")), 200, "an outage of PostgreSQL restarts nobody");
    cr_assert_eq(status_of(get("/startupz")), 200);
    atomic_store(&health.postgres_ok, true);
    atomic_store(&health.stopping, true);
    cr_assert_str_eq(body_of(get("/readyz")), "shutting down\n");
}

Test(http, nothing_else)
{
    cr_assert_eq(status_of(get("/")), 404);
    cr_assert_eq(status_of(get("/livez/")), 404);
    cr_assert_eq(status_of(get("/%2e%2e/etc/passwd")), 404);
    cr_assert_eq(status_of(get("/livez?x=1")), 200, "a query is ignored");
    const char *answer = talk("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                              "Connection: close\r\n\r\nabc");
    cr_assert_eq(status_of(answer), 405);
    cr_assert(strstr(answer, "Allow: GET, HEAD\r\n"), "%s", answer);
    answer = talk("HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_assert_eq(status_of(answer), 200);
    cr_assert_str_empty(body_of(answer));
    cr_assert_eq(status_of(talk("DELETE /metrics HTTP/1.0\r\n\r\n")), 405);
}

Test(http, large_requests_are_refused)
{
    static char request[9000];
    snprintf(request, sizeof request,
             "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: %0*d"
             "\r\n\r\n",
             700, 1);
    cr_assert_eq(status_of(talk(request)), 200, "the head of an ordinary scraper");
    static const int widths[] = {2500, 8000};
    for (size_t i = 0; i < 2; i++) {
        snprintf(request, sizeof request, "GET /livez HTTP/1.1\r\nHost: x\r\nA: %0*d\r\n\r\n",
                 widths[i], 1);
        int status = status_of(talk(request));
        cr_assert(status == 431 || status == 413 || status == 414 || status == 0, "%d", status);
    }
    snprintf(request, sizeof request, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", 4000, 1);
    int status = status_of(talk(request));
    cr_assert(status == 414 || status == 431 || status == 0, "%d", status);
    status = status_of(talk("\x16\x03\x01\r\n\r\n"));
    cr_assert(status == 400 || status == 0, "not HTTP: %d", status);
    cr_assert_eq(status_of(get("/livez")), 200, "and it still answers");
}

Test(http, one_client_cannot_take_all_connections)
{
    int fds[24];
    for (int i = 0; i < 24; i++) {
        fds[i] = connect_to(fp_http_port(http));
        cr_assert_geq(fds[i], 0);
    }
    int closed = 0; /* by the server, at once */
    for (int i = 0; i < 24; i++) {
        struct pollfd entry = {.fd = fds[i], .events = POLLIN};
        closed += poll(&entry, 1, 200) == 1;
    }
    cr_assert_geq(closed, 16, "%d of 24 were refused", closed);
    for (int i = 0; i < 24; i++)
        close(fds[i]);
    for (int tries = 0; status_of(get("/livez")) != 200; tries++) {
        cr_assert_lt(tries, 50);
        usleep(20000);
    }
}

Test(http, silence_ends_a_connection)
{
    int fd = connect_to(fp_http_port(http));
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    send(fd, "GET /li", 7, 0);
    int64_t begin = fp_health_now_ms();
    cr_assert_eq(poll(&entry, 1, 12000), 1, "still open after 12 s");
    cr_assert_geq(fp_health_now_ms() - begin, 3000);
    close(fd);
}

static double metric(const char *page, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = page; line && *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, name, len) == 0 && line[len] == ' ')
            return atof(line + len);
    cr_assert(false, "no %s in:\n%s", name, page);
    return -1;
}

Test(http, metrics)
{
    make_ready();
    fp_health_count(&health.messages, 9007199254740993);
    fp_health_count(&health.applied, 5);
    fp_health_count(&health.rejected, 2);
    fp_health_flushed(&health, 10000); /* exactly a bound: inside */
    fp_health_flushed(&health, 10001);
    fp_health_flushed(&health, 60000000); /* beyond the last bound */
    atomic_store(&health.last_event_us, 1700000000500000);
    struct fp_health_partition *slot = fp_health_partition(&health, "experience.responses", 3);
    atomic_store(&slot->next_offset, 40);
    atomic_store(&slot->high_offset, 100);
    atomic_store(&slot->owned, true);
    struct fp_health_partition *other = fp_health_partition(&health, "experience.responses", 4);
    cr_assert_neq(slot, other);
    cr_assert_eq(slot, fp_health_partition(&health, "experience.responses", 3));

    const char *answer = get("/metrics");
    cr_assert(strstr(answer, "Content-Type: text/plain; version=0.0.4"), "%s", answer);
    const char *page = body_of(answer);
    cr_assert_float_eq(metric(page, "flightpath_messages_total"), 9007199254740992.0, 2);
    cr_assert_eq(metric(page, "flightpath_records_total{result=\"applied\"}"), 5);
    cr_assert_eq(metric(page, "flightpath_records_total{result=\"rejected\"}"), 2);
    cr_assert_eq(metric(page, "flightpath_flush_seconds_bucket{le=\"0.01\"}"), 1);
    cr_assert_eq(metric(page, "flightpath_flush_seconds_bucket{le=\"0.025\"}"), 2);
    cr_assert_eq(metric(page, "flightpath_flush_seconds_bucket{le=\"30\"}"), 2);
    cr_assert_eq(metric(page, "flightpath_flush_seconds_bucket{le=\"+Inf\"}"), 3);
    cr_assert_eq(metric(page, "flightpath_flush_seconds_count"), 3);
    cr_assert_float_eq(metric(page, "flightpath_flush_seconds_sum"), 60.020001, 1e-9);
    cr_assert_float_eq(metric(page, "flightpath_last_event_timestamp_seconds"), 1700000000.5, 1e-6);
    cr_assert_eq(metric(page, "flightpath_ready"), 1);
    const char *lag = "flightpath_lag_messages{topic=\"experience.responses\",partition=\"3\"}";
    cr_assert_eq(metric(page, lag), 60);
    cr_assert_null(strstr(page, "partition=\"4\""), "not owned");
    cr_assert_gt(metric(page, "process_resident_memory_bytes"), 1e5);
    atomic_store(&slot->owned, false);
    cr_assert_null(strstr(get("/metrics"), lag));
}

Test(http, table_of_partitions_is_bounded)
{
    for (int i = 0; i < FP_HEALTH_PARTITIONS_MAX; i++)
        cr_assert_not_null(fp_health_partition(&health, "t", i));
    cr_assert_null(fp_health_partition(&health, "t", FP_HEALTH_PARTITIONS_MAX));
    cr_assert_not_null(fp_health_partition(&health, "t", 0));
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[299] = '\0';
    static struct fp_health empty;
    cr_assert_null(fp_health_partition(&empty, name, 0), "no such topic can exist");
}

Test(http, addresses)
{
    struct fp_error err;
    struct fp_http *second = NULL;
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", fp_http_port(http));
    cr_assert_eq(fp_http_start(taken, &health, &second, &err), FP_FATAL);
    cr_assert(strstr(err.what, taken) && strstr(err.what, "in use"), "%s", err.what);
    cr_assert_eq(fp_http_start("nowhere", &health, &second, &err), FP_FATAL);
    cr_assert(strstr(err.what, "HOST:PORT"), "%s", err.what);
    second = http;
    cr_assert_eq(fp_http_start("", &health, &second, &err), FP_OK);
    cr_assert_null(second, "off");
    cr_assert_eq(fp_http_port(second), 0);
    struct fp_address address;
    cr_assert(fp_address_parse(":80", &address));
    fp_address_to_local(&address);
    cr_assert_eq(((struct sockaddr_in *)&address.at)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

/* ---- healthcheck ----------------------------------------------------------------------------- */

static int healthcheck(const char *listen, bool live)
{
    struct fp_options options = {.http_listen = listen, .live = live};
    return fp_cmd_healthcheck(&options);
}

Test(http, healthcheck)
{
    char listen[32];
    snprintf(listen, sizeof listen, "0.0.0.0:%d", fp_http_port(http)); /* asked on loopback */
    cr_assert_eq(healthcheck(listen, true), FP_EXIT_OK);
    cr_assert_eq(healthcheck(listen, false), FP_EXIT_FAILED, "not ready");
    make_ready();
    cr_assert_eq(healthcheck(listen, false), FP_EXIT_OK);
    atomic_store(&health.fatal, true);
    cr_assert_eq(healthcheck(listen, true), FP_EXIT_FAILED);
    cr_assert_eq(healthcheck("127.0.0.1:0", false), FP_EXIT_USAGE);
    cr_assert_eq(healthcheck("", false), FP_EXIT_FAILED);
    stop();
    cr_assert_eq(healthcheck(listen, false), FP_EXIT_FAILED, "nobody there");
}

/* Something that accepts and never answers must not hang the check. */
Test(http, healthcheck_has_a_deadline)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char listen_at[32];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, size), 0);
    cr_assert_eq(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    snprintf(listen_at, sizeof listen_at, "127.0.0.1:%d", ntohs(at.sin_port));
    int64_t begin = fp_health_now_ms();
    cr_assert_eq(healthcheck(listen_at, false), FP_EXIT_FAILED);
    cr_assert_lt(fp_health_now_ms() - begin, 6000);
    close(fd);
}
