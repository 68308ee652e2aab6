/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small PostgreSQL server: it speaks the wire protocol (version 3) as far as pg.c
 * needs it, keeps the bytes of the last statement's parameters, and answers as it was told. So the
 * encoding of parameters and each way of failing can be tested byte by byte. */
#ifndef TESTS_PG_SERVER_H
#define TESTS_PG_SERVER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum pg_answer { PG_OK, PG_ROW, PG_ERROR, PG_CLOSE, PG_SILENT, PG_TAG, PG_NOTICE };

struct pg_rule { /* for statements that begin with `sql`; of a COPY also its "data" and its "end" */
    const char *sql;
    enum pg_answer answer;
    const char *text; /* SQLSTATE, command tag or notice */
};

#define PG_PARAMS 64

struct pg_server {
    int listener, port;
    pthread_t thread;
    atomic_bool stop, mute; /* mute: connections are taken and never answered */
    const struct pg_rule *rules;
    atomic_int connections, executed, rollbacks;

    /* what one statement carried; read after it was answered */
    char sql[4096];
    int param_count;
    uint32_t oid[PG_PARAMS];
    int32_t len[PG_PARAMS]; /* -1 = NULL */
    uint8_t *bytes[PG_PARAMS];
    uint8_t *copied; /* what a COPY carried */
    size_t copied_len, copied_room;

    /* of the connection */
    int fd;
    bool skipping; /* after an error, until the sync */
    bool copying;
    const struct pg_rule *rule;
};

static inline uint32_t pg_get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, 4);
    return ntohl(v);
}

static inline uint16_t pg_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline bool pg_read(struct pg_server *s, void *to, size_t len)
{
    for (size_t got = 0; got < len;) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (s->stop)
            return false;
        if (poll(&p, 1, 20) <= 0)
            continue;
        ssize_t n = read(s->fd, (uint8_t *)to + got, len - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static inline void pg_say(struct pg_server *s, char type, const void *body, size_t len)
{
    uint8_t head[5] = {(uint8_t)type};
    uint32_t size = htonl((uint32_t)len + 4);
    memcpy(head + 1, &size, 4);
    if (send(s->fd, head, 5, MSG_NOSIGNAL) == 5 && len > 0)
        (void)!send(s->fd, body, len, MSG_NOSIGNAL);
}

/* An error or a notice: fields by letter, as in §55.8 of PostgreSQL's manual. */
static inline void pg_complain(struct pg_server *s, char type, const char *state, const char *text)
{
    char body[512];
    int len = snprintf(body, sizeof body, "SERROR%cVERROR%cC%s%cM%s%cDthe detail%c%c", 0, 0, state,
                       0, text, 0, 0, 0);
    pg_say(s, type, body, (size_t)len);
}

static inline void pg_find_rule(struct pg_server *s, const char *sql)
{
    s->rule = NULL;
    for (const struct pg_rule *r = s->rules; r && r->sql && s->rule == NULL; r++)
        if (strncmp(sql, r->sql, strlen(r->sql)) == 0)
            s->rule = r;
}

static inline void pg_keep_parse(struct pg_server *s, const uint8_t *body)
{
    const char *name = (const char *)body, *sql = name + strlen(name) + 1;
    const uint8_t *at = (const uint8_t *)sql + strlen(sql) + 1;
    snprintf(s->sql, sizeof s->sql, "%s", sql);
    int count = pg_get16(at);
    for (int i = 0; i < count && i < PG_PARAMS; i++)
        s->oid[i] = pg_get32(at + 2 + 4 * i);
    pg_find_rule(s, sql);
}

static inline void pg_keep_bind(struct pg_server *s, const uint8_t *body)
{
    const uint8_t *at = body + strlen((const char *)body) + 1;
    at += strlen((const char *)at) + 1;
    at += 2 + 2 * pg_get16(at); /* formats */
    int count = pg_get16(at);
    if (count == 0) /* BEGIN, COMMIT and the like: keep those of the statement before */
        return;
    at += 2;
    s->param_count = count;
    for (int i = 0; i < count && i < PG_PARAMS; i++) {
        s->len[i] = (int32_t)pg_get32(at);
        at += 4;
        free(s->bytes[i]);
        s->bytes[i] = calloc(1, (size_t)(s->len[i] > 0 ? s->len[i] : 0) + 1);
        if (s->len[i] > 0 && s->bytes[i])
            memcpy(s->bytes[i], at, (size_t)s->len[i]);
        at += s->len[i] > 0 ? s->len[i] : 0;
    }
}

static inline void pg_describe(struct pg_server *s)
{
    static const uint8_t columns[] = {0, 3, 'n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 8, 255, 255,
        255, 255, 0, 0, 't', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0,
        'e', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0};
    if (s->rule && s->rule->answer == PG_ROW)
        pg_say(s, 'T', columns, sizeof columns);
    else
        pg_say(s, 'n', NULL, 0);
}

/* Returns false when the connection is to be closed. */
static inline bool pg_execute(struct pg_server *s)
{
    static const uint8_t row[] = {0, 3, 0, 0, 0, 2, '-', '7', 255, 255, 255, 255, 0, 0, 0, 0};
    const struct pg_rule *r = s->rule;
    const char *tag = strcmp(s->sql, "BEGIN") == 0    ? "BEGIN"
                      : strcmp(s->sql, "COMMIT") == 0 ? "COMMIT"
                                                      : "INSERT 0 5";
    s->rollbacks += strcmp(s->sql, "ROLLBACK") == 0;
    s->executed++;
    if (r && r->answer == PG_ERROR) {
        pg_complain(s, 'E', r->text, "no");
        s->skipping = true;
        return true;
    }
    if (r && r->answer == PG_CLOSE)
        return false;
    while (r && r->answer == PG_SILENT && !s->stop)
        usleep(10000);
    if (r && r->answer == PG_NOTICE)
        pg_complain(s, 'N', "01000", r->text);
    if (r && r->answer == PG_ROW)
        pg_say(s, 'D', row, sizeof row);
    if (r && (r->answer == PG_TAG || r->answer == PG_ROW))
        tag = r->text;
    pg_say(s, 'C', tag, strlen(tag) + 1);
    return true;
}

/* One step of a COPY, if the rules say so; *go_on: nothing was wrong. Returns false when the
 * connection is to be closed. */
static inline bool pg_copy_step(struct pg_server *s, const char *step, bool *go_on)
{
    pg_find_rule(s, step);
    const struct pg_rule *r = s->rule;
    *go_on = r == NULL || r->answer != PG_ERROR;
    while (r && r->answer == PG_SILENT && !s->stop)
        usleep(10000);
    if (!*go_on) {
        pg_complain(s, 'E', r->text, "no");
        pg_say(s, 'Z', "E", 1);
        s->copying = false;
    }
    return r == NULL || (r->answer != PG_CLOSE && r->answer != PG_SILENT);
}

static inline bool pg_simple(struct pg_server *s, const char *sql)
{
    bool go_on, is_copy = strncmp(sql, "COPY", 4) == 0;
    snprintf(s->sql, sizeof s->sql, "%s", sql);
    if (!is_copy) {
        pg_say(s, 'C', "SELECT 1", 9);
        pg_say(s, 'Z', "I", 1);
        return true;
    }
    if (!pg_copy_step(s, sql, &go_on))
        return false;
    if (go_on)
        pg_say(s, 'G', "\1\0\0", 3); /* binary, no columns named */
    s->copying = go_on;
    return true;
}

/* Data or the end of a COPY; what comes after an error is passed over. */
static inline bool pg_copy(struct pg_server *s, char type, const uint8_t *body, size_t len)
{
    bool go_on;
    if (!s->copying)
        return true;
    if (!pg_copy_step(s, type == 'd' ? "data" : "end", &go_on))
        return false;
    if (go_on && type == 'd') {
        while (s->copied_room < s->copied_len + len) {
            s->copied_room = s->copied_room ? 2 * s->copied_room : 1 << 20;
            s->copied = realloc(s->copied, s->copied_room);
        }
        memcpy(s->copied + s->copied_len, body, len);
        s->copied_len += len;
    } else if (go_on) {
        pg_say(s, 'C', "COPY 2", 7);
        pg_say(s, 'Z', "T", 1);
        s->copying = false;
    }
    return true;
}

static inline bool pg_message(struct pg_server *s, char type, const uint8_t *body, size_t len)
{
    if (type == 'S') {
        s->skipping = false;
        pg_say(s, 'Z', "I", 1);
    }
    if (s->skipping || type == 'S')
        return true;
    switch (type) {
    case 'P': pg_keep_parse(s, body); pg_say(s, '1', NULL, 0); return true;
    case 'B': pg_keep_bind(s, body); pg_say(s, '2', NULL, 0); return true;
    case 'D': pg_describe(s); return true;
    case 'E': return pg_execute(s);
    case 'Q': return pg_simple(s, (const char *)body);
    case 'd':
    case 'c': return pg_copy(s, type, body, len);
    default: return type != 'X';
    }
}

static inline void pg_converse(struct pg_server *s)
{
    static const uint8_t authentication_ok[4] = {0};
    uint8_t head[5], *body = NULL;
    if (!pg_read(s, head, 4) || (body = calloc(1, pg_get32(head))) == NULL)
        return;
    bool more = pg_read(s, body, pg_get32(head) - 4);
    free(body);
    while (s->mute && !s->stop)
        usleep(10000);
    pg_say(s, 'R', authentication_ok, 4);
    pg_say(s, 'S', "server_version\0" "15.0", 20);
    pg_say(s, 'K', "\0\0\0\1\0\0\0\2", 8);
    pg_say(s, 'Z', "I", 1);
    while (more && pg_read(s, head, 5)) {
        size_t len = pg_get32(head + 1) - 4;
        body = calloc(1, len + 1);
        more = body && pg_read(s, body, len) && pg_message(s, (char)head[0], body, len);
        free(body);
    }
}

static inline void *pg_serve(void *context)
{
    struct pg_server *s = context;
    while (!s->stop) {
        struct pollfd p = {.fd = s->listener, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        s->fd = accept(s->listener, NULL, NULL);
        s->connections++;
        s->skipping = s->copying = false;
        pg_converse(s);
        close(s->fd);
    }
    return NULL;
}

static inline bool pg_server_start(struct pg_server *s, const struct pg_rule *rules)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    s->rules = rules;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->listener, (struct sockaddr *)&at, len) || listen(s->listener, 4) ||
        getsockname(s->listener, (struct sockaddr *)&at, &len))
        return false;
    s->port = ntohs(at.sin_port);
    return pthread_create(&s->thread, NULL, pg_serve, s) == 0;
}

static inline void pg_server_stop(struct pg_server *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
    close(s->listener);
    for (int i = 0; i < PG_PARAMS; i++)
        free(s->bytes[i]);
    free(s->copied);
}

#endif
