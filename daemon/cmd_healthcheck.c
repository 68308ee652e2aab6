/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GET /readyz (or /livez) of the daemon on this machine, for containers that have no curl. */
#include "daemon/command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/address.h"
#include "daemon/health.h"

#define DEADLINE_MS 3000
#define ANSWER_BYTES_MAX 2048

/* False when the deadline passes first; errno is then ETIMEDOUT. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int64_t left = deadline_ms - fp_health_now_ms();
    int ready = left > 0 ? poll(&entry, 1, (int)left) : 0;
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready == 1;
}

static bool connect_within(int fd, const struct fp_address *address, int64_t deadline_ms)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    if (connect(fd, (const struct sockaddr *)&address->at, address->len) == 0)
        return true;
    if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, deadline_ms))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0)
        return true;
    errno = failure;
    return false;
}

/* The whole answer, NUL-terminated; false with errno set when there is none in time. */
static bool ask(const struct fp_address *address, const char *path, char *answer, size_t size)
{
    char request[96];
    int64_t deadline_ms = fp_health_now_ms() + DEADLINE_MS;
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.0\r\nHost: flightpath\r\nConnection: close\r\n\r\n", path);
    int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = fd >= 0 && connect_within(fd, address, deadline_ms) &&
                send(fd, request, (size_t)len, MSG_NOSIGNAL) == len;
    size_t used = 0;
    while (good && used + 1 < size) {
        ssize_t got = 0;
        good = wait_for(fd, POLLIN, deadline_ms) &&
               (got = recv(fd, answer + used, size - used - 1, 0)) >= 0;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    answer[used] = '\0';
    int kept = errno;
    if (fd >= 0)
        close(fd);
    errno = kept;
    return good;
}

int fp_cmd_healthcheck(const struct fp_options *options)
{
    struct fp_address address;
    char answer[ANSWER_BYTES_MAX];
    if (*options->http_listen == '\0') {
        fputs("flightpath healthcheck: http_listen is off; switch it on in `run`\n", stderr);
        return FP_EXIT_FAILED;
    }
    if (!fp_address_parse(options->http_listen, &address) || address.port == 0) {
        fputs("flightpath healthcheck: http_listen has port 0, which `run` chose itself; give the "
              "port it logged: --http-listen 127.0.0.1:PORT\n",
              stderr);
        return FP_EXIT_USAGE;
    }
    fp_address_to_local(&address);
    if (!ask(&address, options->live ? "/livez" : "/readyz", answer, sizeof answer)) {
        fprintf(stderr, "flightpath healthcheck: no answer from %s: %s\n", options->http_listen,
                strerror(errno));
        return FP_EXIT_FAILED;
    }
    int status = 0;
    if (sscanf(answer, "HTTP/1.%*1d %d", &status) != 1) {
        fprintf(stderr, "flightpath healthcheck: %s does not speak HTTP\n", options->http_listen);
        return FP_EXIT_FAILED;
    }
    const char *body = strstr(answer, "\r\n\r\n");
    fprintf(status == 200 ? stdout : stderr, "%.200s", body ? body + 4 : "no answer\n");
    return status == 200 ? FP_EXIT_OK : FP_EXIT_FAILED;
}
