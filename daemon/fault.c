/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/fault.h"

#ifdef FLIGHTPATH_FAULT_POINTS
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POINTS_MAX 8

static struct {
    char name[40], action[24];
    int nth, seen;
} points[POINTS_MAX];
static int point_count = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void load(void)
{
    point_count = 0;
    const char *spec = getenv("FLIGHTPATH_FAULT");
    char copy[512];
    if (spec == NULL)
        return;
    snprintf(copy, sizeof copy, "%s", spec);
    char *save = NULL;
    for (char *one = strtok_r(copy, ",", &save); one && point_count < POINTS_MAX;
         one = strtok_r(NULL, ",", &save))
        if (sscanf(one, "%39[^:]:%d:%23s", points[point_count].name, &points[point_count].nth,
                   points[point_count].action) == 3)
            point_count++;
}

static void act(const char *name, const char *action)
{
    char line[96];
    int len = snprintf(line, sizeof line, "fault point %s: %s\n", name, action);
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        (void)0;
    if (strcmp(action, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(action, "stop") == 0)
        raise(SIGSTOP); /* this thread stops at once, the others follow */
    else if (strcmp(action, "exit") == 0)
        _exit(99);
    else if (strncmp(action, "sleep=", 6) == 0)
        usleep((useconds_t)atoi(action + 6) * 1000u);
}

void fp_fault_point(const char *name)
{
    const char *action = NULL;
    pthread_mutex_lock(&lock);
    if (point_count < 0)
        load();
    for (int i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0 && ++points[i].seen == points[i].nth)
            action = points[i].action;
    pthread_mutex_unlock(&lock);
    if (action)
        act(name, action);
}
#else
typedef int fp_fault_points_are_off; /* ISO C wants a declaration in every file */
#endif
