/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The metrics and health port: GET /livez /readyz /startupz /metrics, nothing else.
 * libmicrohttpd is used in http.c only. One thread of its own that reads *health; nothing of the
 * data path ever waits for it. */
#ifndef FP_HTTP_H
#define FP_HTTP_H

#include "daemon/health.h"
#include "daemon/status.h"

struct fp_http;

/* Listens on "HOST:PORT" (port 0: a free one, see fp_http_port). "" is off: FP_OK with *http NULL.
 * FP_FATAL when the address cannot be bound. Logs `http_listening`. *health must outlive it. */
enum fp_status fp_http_start(const char *listen, const struct fp_health *health,
                             struct fp_http **http, struct fp_error *err) FP_MUST_CHECK;
int fp_http_port(const struct fp_http *http);
void fp_http_stop(struct fp_http *http); /* NULL is allowed */

#endif
