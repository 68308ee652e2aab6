/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Digits only, 0 … 65535; −1 otherwise. */
static int parse_port(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return -1;
    int port = atoi(text);
    return port <= 65535 ? port : -1;
}

static bool fill(const char *host, bool bracketed, struct fp_address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->at;
    if (bracketed) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)address->port);
        address->len = sizeof *v6;
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    if (*host == '\0')
        host = "0.0.0.0";
    else if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)address->port);
    address->len = sizeof *v4;
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

bool fp_address_parse(const char *text, struct fp_address *address)
{
    char host[64];
    bool bracketed = text[0] == '[';
    const char *from = text + bracketed;
    const char *end = bracketed ? strchr(from, ']') : strrchr(from, ':');
    if (end == NULL || (size_t)(end - from) >= sizeof host || (bracketed && end[1] != ':'))
        return false;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    memset(address, 0, sizeof *address);
    address->port = parse_port(end + (bracketed ? 2 : 1));
    return address->port >= 0 && fill(host, bracketed, address);
}

void fp_address_to_local(struct fp_address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->at;
    if (address->at.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY))
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address->at.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
}
