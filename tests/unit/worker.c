/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workers: passes, news, drains, and an end that is bounded whatever a pass waits for. */
#include "daemon/worker.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/pg.h"

struct seen { /* by the test, also once the context is gone */
    atomic_int passes, drained, left_to_do, farewells, released;
    _Atomic int64_t ended_ms;
};

struct toil {
    struct fp_worker *worker;
    struct seen *seen;
    int wait_ms, sleep_ms;
    const char *conninfo; /* of a server that takes connections and never answers */
};

static void sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static struct fp_turn pass(void *context, bool draining)
{
    struct toil *t = context;
    struct fp_pg *pg = NULL;
    t->seen->passes++;
    t->seen->drained += draining;
    sleep_ms(t->sleep_ms);
    if (t->conninfo && fp_pg_open(t->conninfo, NULL, "test", 60000, &pg, NULL) == FP_OK)
        abort(); /* nobody there could have answered */
    t->seen->ended_ms = fp_now_ms();
    bool idle = t->seen->left_to_do == 0;
    if (!idle)
        t->seen->left_to_do--;
    return (struct fp_turn){.idle = idle, .wait_ms = t->wait_ms};
}

static void farewell(void *context)
{
    struct toil *t = context;
    t->seen->farewells++;
}

static void release(void *context)
{
    struct toil *t = context;
    t->seen->released++;
    free(t);
}

static const struct fp_worker_job job = {
    .name = "toil", .left = "as it is", .pass = pass, .farewell = farewell, .release = release};

static struct toil *start(struct fp_workers *workers, const struct toil *how)
{
    struct toil *t = malloc(sizeof *t);
    struct fp_error err;
    *t = *how;
    cr_assert_eq(fp_worker_start(workers, &job, t, &t->worker, &err), FP_OK, "%s", err.what);
    return t;
}

static void wait_for(atomic_int *value, int least)
{
    for (int i = 0; i < 2000 && *value < least; i++)
        sleep_ms(5);
    cr_assert_geq(*value, least);
}

Test(worker, news_begins_a_pass_at_once_and_the_end_frees_everything)
{
    struct fp_workers *workers = fp_workers_new();
    struct seen seen = {0};
    struct toil *t = start(workers, &(struct toil){.seen = &seen, .wait_ms = 60000});
    wait_for(&seen.passes, 1);
    fp_worker_wake(t->worker);
    wait_for(&seen.passes, 2);
    cr_expect_not(*fp_worker_stopping(t->worker));
    int64_t begin = fp_now_ms();
    fp_workers_stop(workers);
    cr_expect_lt(fp_now_ms() - begin, 2500, "it only waits for its turn");
    cr_expect_eq(seen.farewells, 1);
    cr_expect_eq(seen.released, 1);
}

Test(worker, a_drain_waits_for_an_idle_pass_that_began_after_it)
{
    struct fp_workers *workers = fp_workers_new();
    struct seen seen = {.left_to_do = 3};
    atomic_bool stop = false;
    struct toil *t = start(workers, &(struct toil){.seen = &seen, .wait_ms = 60000});
    wait_for(&seen.passes, 1);
    t->wait_ms = 1; /* between passes: it sleeps for a minute */
    fp_worker_drain(t->worker, &stop);
    cr_expect_eq(seen.left_to_do, 0);
    cr_expect_geq(seen.drained, 3);
    stop = true; /* or until it is told not to wait */
    seen.left_to_do = 1 << 30;
    fp_worker_drain(t->worker, &stop);
    cr_expect_gt(seen.left_to_do, 0);
    fp_workers_stop(workers);
    cr_expect_eq(seen.released, 1);
}

/* Accepts connections (the kernel does, up to the backlog) and says nothing. */
static int silent_server(char conninfo[80])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(conninfo, 80, "host=127.0.0.1 port=%d dbname=x user=x sslmode=disable",
             ntohs(at.sin_port));
    return fd;
}

Test(worker, the_end_breaks_off_waits_and_leaves_what_cannot_be_broken_off)
{
    struct fp_workers *workers = fp_workers_new();
    struct seen waits = {0}, sleeps = {0}, quick = {0};
    char conninfo[80];
    int server = silent_server(conninfo);
    start(workers, &(struct toil){.seen = &waits, .conninfo = conninfo});
    start(workers, &(struct toil){.seen = &sleeps, .sleep_ms = 7000});
    start(workers, &(struct toil){.seen = &quick, .wait_ms = 60000});
    wait_for(&waits.passes, 1);
    wait_for(&sleeps.passes, 1);
    wait_for(&quick.passes, 1);
    fp_workers_stop(workers);
    cr_expect_eq(quick.released, 1);
    cr_expect_eq(waits.released, 1, "its wait of a minute was broken off");
    cr_expect_gt(waits.ended_ms, 0);
    cr_expect_eq(sleeps.released, 0, "it is left, with what it uses");
    wait_for(&sleeps.released, 1); /* which it frees when it gets there */
    cr_expect_eq(sleeps.farewells, 1);
    close(server);
}
