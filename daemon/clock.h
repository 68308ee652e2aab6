/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The process's clocks. analytics/ never sees them: time is an argument there. */
#ifndef FP_CLOCK_H
#define FP_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t fp_clock_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* For deadlines and ages. */
static inline int64_t fp_now_ms(void)
{
    return fp_clock_us(CLOCK_MONOTONIC) / 1000;
}
/* A moment from now, for timed waits on a clock. */
static inline struct timespec fp_clock_in_ms(clockid_t clock, int64_t ms)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += ms % 1000 * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}
/* Wall clock, for what a person reads; never decides a result. */
static inline int64_t fp_wall_us(void)
{
    return fp_clock_us(CLOCK_REALTIME);
}

#endif
