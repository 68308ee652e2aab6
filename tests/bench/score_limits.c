/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a processor does at best in vectors of SCORE_BYTES, for score.c; compiled once a path, which
 * names the two functions SCORE_LOAD and SCORE_ARITHMETIC. */
#include <stddef.h>

typedef float vector __attribute__((vector_size(SCORE_BYTES)));

#if defined(__AVX512F__)
#define REGISTER "v"
#elif defined(__x86_64__)
#define REGISTER "x"
#else
#define REGISTER "w"
#endif
#define KEPT(v) __asm__ volatile("" : : REGISTER(v)) /* the compiler may not leave it out */

void SCORE_LOAD(const void *buffer, size_t bytes);
float SCORE_ARITHMETIC(size_t steps);

/* bytes: a multiple of 512 */
void SCORE_LOAD(const void *buffer, size_t bytes)
{
    const vector *from = buffer;
    for (const vector *end = from + bytes / sizeof *from; from < end; from += 8) {
        vector a = from[0], b = from[1], c = from[2], d = from[3];
        vector e = from[4], f = from[5], g = from[6], h = from[7];
        KEPT(a);
        KEPT(b);
        KEPT(c);
        KEPT(d);
        KEPT(e);
        KEPT(f);
        KEPT(g);
        KEPT(h);
    }
}

/* steps · 12 vectors, a multiplication and an addition each; twelve chains hide their latency */
float SCORE_ARITHMETIC(size_t steps)
{
    vector v[12], by = {0}, plus = {0};
    by = by + 0.5f;
    plus = plus + 1.0f;
    for (int k = 0; k < 12; k++)
        v[k] = plus * (float)k;
    for (size_t i = 0; i < steps; i++)
        for (int k = 0; k < 12; k++)
            v[k] = v[k] * by + plus;
    vector sum = v[0];
    for (int k = 1; k < 12; k++)
        sum = sum + v[k];
    return sum[0];
}
