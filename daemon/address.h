/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "HOST:PORT" of a listening socket: "127.0.0.1:9464", "[::1]:9464", ":9464" (every interface).
 * Hosts are numeric or "localhost", so nothing is looked up. Threads: pure. */
#ifndef FP_ADDRESS_H
#define FP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

struct fp_address {
    struct sockaddr_storage at;
    socklen_t len;
    int port;
};

/* False when `text` is not of that form. */
bool fp_address_parse(const char *text, struct fp_address *address);
/* Where a client of this machine reaches it: the any-address becomes loopback. */
void fp_address_to_local(struct fp_address *address);

#endif
